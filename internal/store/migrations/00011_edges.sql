-- What teams ask of the routers, as JSON. It is no part of a release; of
-- passwords it holds hashes.

-- +goose Up
CREATE TABLE edges (
    app     TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    edge    TEXT   NOT NULL,
    updated BIGINT NOT NULL
);
