-- The one schema, for SQLite and PostgreSQL. Times are BIGINT microseconds
-- since 1970 UTC, 0 for never; maps are JSON in TEXT. Constraints that a user
-- can run into are named <table>_<column>, as faults are told.

-- +goose Up
CREATE TABLE users (
    username   TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    first_name TEXT    NOT NULL,
    last_name  TEXT    NOT NULL,
    superuser  BOOLEAN NOT NULL,
    active     BOOLEAN NOT NULL,
    password   TEXT    NOT NULL,
    last_login BIGINT  NOT NULL,
    joined     BIGINT  NOT NULL,
    CONSTRAINT users_username PRIMARY KEY (username)
);

CREATE TABLE tokens (
    hash     TEXT   NOT NULL,
    username TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE ON DELETE CASCADE,
    name     TEXT   NOT NULL,
    created  BIGINT NOT NULL,
    CONSTRAINT tokens_hash PRIMARY KEY (hash)
);
CREATE INDEX tokens_of_user ON tokens (username);

CREATE TABLE keys (
    uuid        TEXT   NOT NULL PRIMARY KEY,
    id          TEXT   NOT NULL,
    owner       TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE ON DELETE CASCADE,
    public      TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    sha256      TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    CONSTRAINT keys_id UNIQUE (id),
    CONSTRAINT keys_sha256 UNIQUE (sha256)
);
CREATE INDEX keys_of_owner ON keys (owner);

CREATE TABLE apps (
    uuid      TEXT   NOT NULL UNIQUE,
    id        TEXT   NOT NULL,
    owner     TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    formation TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    updated   BIGINT NOT NULL,
    CONSTRAINT apps_id PRIMARY KEY (id)
);
CREATE INDEX apps_of_owner ON apps (owner);

CREATE TABLE collaborators (
    app      TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    username TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE ON DELETE CASCADE,
    created  BIGINT NOT NULL,
    PRIMARY KEY (app, username)
);
CREATE INDEX collaborators_of_user ON collaborators (username);

CREATE TABLE configs (
    uuid         TEXT   NOT NULL PRIMARY KEY,
    app          TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    owner        TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    vars         TEXT   NOT NULL,
    memory       TEXT   NOT NULL,
    cpu          TEXT   NOT NULL,
    healthchecks TEXT   NOT NULL,
    grace        TEXT   NOT NULL,
    created      BIGINT NOT NULL,
    updated      BIGINT NOT NULL
);
CREATE INDEX configs_of_app ON configs (app);
CREATE INDEX configs_of_owner ON configs (owner);

CREATE TABLE builds (
    uuid       TEXT   NOT NULL PRIMARY KEY,
    app        TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    owner      TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    image      TEXT   NOT NULL,
    sha        TEXT   NOT NULL,
    procfile   TEXT   NOT NULL,
    dockerfile TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    updated    BIGINT NOT NULL
);
CREATE INDEX builds_of_app ON builds (app, created);
CREATE INDEX builds_of_owner ON builds (owner);

-- A release without a build has NULL there, and one without a receipt ''.
CREATE TABLE releases (
    uuid      TEXT   NOT NULL PRIMARY KEY,
    app       TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    owner     TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    version   BIGINT NOT NULL,
    summary   TEXT   NOT NULL,
    state     TEXT   NOT NULL,
    exception TEXT   NOT NULL,
    config    TEXT   NOT NULL REFERENCES configs (uuid),
    build     TEXT   REFERENCES builds (uuid),
    receipt   TEXT   NOT NULL,
    created   BIGINT NOT NULL,
    updated   BIGINT NOT NULL,
    CONSTRAINT releases_version UNIQUE (app, version)
);
CREATE INDEX releases_of_owner ON releases (owner);
CREATE INDEX releases_of_config ON releases (config);
CREATE INDEX releases_of_build ON releases (build);
CREATE INDEX releases_unfinished ON releases (app, version) WHERE state NOT IN ('succeeded', 'failed');

CREATE TABLE domains (
    domain  TEXT   NOT NULL,
    app     TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    owner   TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    CONSTRAINT domains_domain PRIMARY KEY (domain)
);
CREATE INDEX domains_of_app ON domains (app);
CREATE INDEX domains_of_owner ON domains (owner);

CREATE TABLE settings (
    app           TEXT    NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    uuid          TEXT    NOT NULL,
    owner         TEXT    NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    maintenance   BOOLEAN NOT NULL,
    routable      BOOLEAN NOT NULL,
    deploy_branch TEXT    NOT NULL,
    created       BIGINT  NOT NULL,
    updated       BIGINT  NOT NULL
);
CREATE INDEX settings_of_owner ON settings (owner);

-- Events outlive the app and the user they name.
CREATE TABLE events (
    id       BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL,
    name     TEXT   NOT NULL,
    app      TEXT   NOT NULL,
    username TEXT   NOT NULL,
    attrs    TEXT   NOT NULL
);
CREATE INDEX events_of_app ON events (app, id);
