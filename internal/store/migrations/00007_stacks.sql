-- Images that slugs are laid on; one of them at most is in force.

-- +goose Up
CREATE TABLE stacks (
    name     TEXT PRIMARY KEY,
    image    TEXT NOT NULL,
    source   TEXT NOT NULL,
    system   TEXT NOT NULL,
    size     BIGINT NOT NULL,
    in_force BOOLEAN NOT NULL,
    owner    TEXT NOT NULL,
    created  BIGINT NOT NULL,
    updated  BIGINT NOT NULL
);
