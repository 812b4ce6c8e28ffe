-- What an app's images may hold, in bytes, where it is not the platform's
-- default; 0: any number.

-- +goose Up
CREATE TABLE image_quotas (
    app   TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id) ON UPDATE CASCADE ON DELETE CASCADE,
    bytes BIGINT NOT NULL
);
