-- +goose Up

-- Volumes whose data shall go as soon as no instance has it, by the uuid of
-- their app. With an empty name all of a destroyed app: one row for each id
-- under which instances of it may still run. No foreign key: they outlive it.
CREATE TABLE forgotten_volumes (
    uuid TEXT NOT NULL,
    app  TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (uuid, app, name)
);
CREATE INDEX forgotten_volumes_of_app ON forgotten_volumes (app);

-- TCP ports of the edge that lead to a port of a process type. A port of the
-- edge is one app's.
CREATE TABLE ports (
    listen  BIGINT NOT NULL,
    app     TEXT   NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    process TEXT   NOT NULL,
    port    BIGINT NOT NULL,
    proxy   BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    CONSTRAINT ports_listen PRIMARY KEY (listen),
    CONSTRAINT ports_of_process UNIQUE (app, process, port)
);
