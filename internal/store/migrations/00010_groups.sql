-- Sets of environment variables that apps share. vars is sealed.

-- +goose Up
CREATE TABLE config_groups (
    uuid         TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    owner        TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    vars         TEXT   NOT NULL,
    sealed_under TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    created      BIGINT NOT NULL,
    updated      BIGINT NOT NULL,
    CONSTRAINT config_groups_name UNIQUE (name)
);
CREATE INDEX config_groups_of_owner ON config_groups (owner, name);
CREATE INDEX config_groups_sealed_under ON config_groups (sealed_under, uuid);

-- A group that is attached cannot go. due: it changed, and the app was not
-- told yet.
CREATE TABLE config_group_apps (
    app        TEXT    NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    group_uuid TEXT    NOT NULL REFERENCES config_groups (uuid),
    position   BIGINT  NOT NULL,
    due        BOOLEAN NOT NULL,
    PRIMARY KEY (app, group_uuid)
);
CREATE INDEX config_group_apps_of_group ON config_group_apps (group_uuid, app);
CREATE INDEX config_group_apps_due ON config_group_apps (app) WHERE due;

-- The groups of a version of a config, with their values as they were: sealed,
-- but for the empty list.
ALTER TABLE configs ADD COLUMN shared TEXT NOT NULL DEFAULT '[]';
