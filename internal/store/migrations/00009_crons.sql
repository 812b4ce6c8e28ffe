-- When process types run by themselves, and how that went.

-- +goose Up
CREATE TABLE crons (
    app      TEXT    NOT NULL REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    process  TEXT    NOT NULL,
    schedule TEXT    NOT NULL,
    timezone TEXT    NOT NULL,
    overlap  TEXT    NOT NULL,
    missed   TEXT    NOT NULL,
    deadline BIGINT  NOT NULL, -- microseconds
    paused   BOOLEAN NOT NULL,
    handled  BIGINT  NOT NULL,
    created  BIGINT  NOT NULL,
    updated  BIGINT  NOT NULL,
    PRIMARY KEY (app, process)
);

-- A moment of a schedule has one row, which is written before anything starts:
-- that is what keeps it from running twice.
CREATE TABLE cron_runs (
    uuid      TEXT    NOT NULL PRIMARY KEY,
    app       TEXT    NOT NULL,
    process   TEXT    NOT NULL,
    scheduled BIGINT  NOT NULL,
    manual    BOOLEAN NOT NULL,
    asked_by  TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    exit_code BIGINT  NOT NULL,
    release   BIGINT  NOT NULL,
    instance  TEXT    NOT NULL,
    missed    BIGINT  NOT NULL,
    started   BIGINT  NOT NULL,
    ended     BIGINT  NOT NULL,
    FOREIGN KEY (app, process) REFERENCES crons (app, process) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT cron_runs_scheduled UNIQUE (app, process, scheduled)
);
CREATE INDEX cron_runs_active ON cron_runs (app, process) WHERE state IN ('waiting', 'running');
