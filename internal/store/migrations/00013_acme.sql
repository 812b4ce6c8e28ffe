-- What is kept of certificates that the platform gets by itself: accounts, keys,
-- chains, why one was not given. value is sealed.

-- +goose Up
CREATE TABLE acme_files (
    name         TEXT   NOT NULL PRIMARY KEY,
    value        TEXT   NOT NULL,
    size         BIGINT NOT NULL,
    sealed_under TEXT   NOT NULL,
    modified     BIGINT NOT NULL
);
CREATE INDEX acme_files_sealed_under ON acme_files (sealed_under, name);

-- Who works on what. A lock whose time is over is anybody's.
CREATE TABLE acme_locks (
    name    TEXT   NOT NULL PRIMARY KEY,
    holder  TEXT   NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX acme_locks_of_holder ON acme_locks (holder);

-- Whether the app's domains get certificates by themselves; NULL: they do.
ALTER TABLE tls ADD COLUMN automatic BOOLEAN;
