-- How an app's requests are led from one release to the next, and how far such
-- a cutover has come.

-- +goose Up
CREATE TABLE strategies (
    app      TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    strategy TEXT   NOT NULL,
    updated  BIGINT NOT NULL
);

-- One row an app whose cutover goes in steps, until it is over. word is what
-- somebody said about it, which others write than the rest.
CREATE TABLE cutovers (
    app         TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    release     BIGINT NOT NULL,
    former      BIGINT NOT NULL,
    strategy    TEXT   NOT NULL,
    step        BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    started     BIGINT NOT NULL,
    done        TEXT   NOT NULL,
    undone      TEXT   NOT NULL,
    word        TEXT   NOT NULL DEFAULT '',
    said_by     TEXT   NOT NULL DEFAULT ''
);
