-- Builds of before are slugs of pushes, or images that could not run.

-- +goose Up
ALTER TABLE builds ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN kind TEXT NOT NULL DEFAULT 'slug';
ALTER TABLE builds ADD COLUMN stack TEXT NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN ports TEXT NOT NULL DEFAULT '[]';
ALTER TABLE builds ADD COLUMN size BIGINT NOT NULL DEFAULT 0;

ALTER TABLE configs ADD COLUMN volumes TEXT NOT NULL DEFAULT '{}';
