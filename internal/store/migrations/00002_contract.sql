-- Columns that hold secrets (configs.vars, configs.registry, certificates.key)
-- are sealed: see package secret. sealed_under is the id of the key they are
-- sealed under; rows from before have '' and are sealed on the next start.

-- +goose Up
ALTER TABLE apps ADD COLUMN renamed_from TEXT NOT NULL DEFAULT '';
CREATE INDEX apps_renamed_from ON apps (renamed_from) WHERE renamed_from <> '';
DROP INDEX apps_of_owner;
CREATE INDEX apps_of_owner ON apps (owner, id);

ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN apps TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tokens ADD COLUMN named BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE tokens ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tokens ADD COLUMN last_used BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX tokens_name ON tokens (username, name) WHERE named;

-- Users of a directory have no password here.
ALTER TABLE users ADD COLUMN groups TEXT NOT NULL DEFAULT '[]';
ALTER TABLE users ADD COLUMN directory BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX users_superusers ON users (username) WHERE superuser;

CREATE INDEX keys_by_md5 ON keys (fingerprint);

ALTER TABLE collaborators ADD COLUMN role TEXT NOT NULL DEFAULT 'operator';
DROP INDEX collaborators_of_user;
CREATE INDEX collaborators_of_user ON collaborators (username, app, role);

ALTER TABLE configs ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE configs ADD COLUMN registry TEXT NOT NULL DEFAULT '{}';
ALTER TABLE configs ADD COLUMN post_start TEXT NOT NULL DEFAULT '{}';
ALTER TABLE configs ADD COLUMN pre_stop TEXT NOT NULL DEFAULT '{}';
ALTER TABLE configs ADD COLUMN sealed_under TEXT NOT NULL DEFAULT '';
CREATE INDEX configs_sealed_under ON configs (sealed_under, uuid);

ALTER TABLE settings ADD COLUMN whitelist TEXT NOT NULL DEFAULT '[]';
ALTER TABLE settings ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE settings ADD COLUMN autoscale TEXT NOT NULL DEFAULT '{}';

-- enforced is NULL until somebody chose.
CREATE TABLE tls (
    app      TEXT    NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    uuid     TEXT    NOT NULL,
    owner    TEXT    NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    enforced BOOLEAN,
    created  BIGINT  NOT NULL,
    updated  BIGINT  NOT NULL
);
CREATE INDEX tls_of_owner ON tls (owner);

CREATE TABLE services (
    app     TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    process TEXT   NOT NULL,
    owner   TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE,
    pattern TEXT   NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (app, process)
);
CREATE INDEX services_of_owner ON services (owner);

CREATE TABLE certificates (
    id          BIGINT NOT NULL,
    name        TEXT   NOT NULL,
    owner       TEXT   NOT NULL REFERENCES users (username) ON UPDATE CASCADE ON DELETE CASCADE,
    chain       TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    sealed_under TEXT  NOT NULL,
    common_name TEXT   NOT NULL,
    san         TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    issuer      TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    starts      BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    CONSTRAINT certificates_id PRIMARY KEY (id),
    CONSTRAINT certificates_name UNIQUE (name)
);
CREATE INDEX certificates_of_owner ON certificates (owner);
CREATE INDEX certificates_sealed_under ON certificates (sealed_under, id);

-- The last number given out, where one must not come again after its row has gone.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('certificates', 0);

ALTER TABLE domains ADD COLUMN certificate TEXT REFERENCES certificates (name) ON UPDATE CASCADE ON DELETE SET NULL;
CREATE INDEX domains_of_certificate ON domains (certificate);

ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN token TEXT NOT NULL DEFAULT '';
DROP INDEX events_of_app;
CREATE INDEX events_in_time ON events (at, id);
CREATE INDEX events_of_app ON events (app, at, id);
CREATE INDEX events_of_user ON events (username, at, id);
CREATE INDEX events_of_name ON events (name, at, id);
