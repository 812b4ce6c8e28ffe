-- The audit trail grows, and nothing else.
CREATE FUNCTION events_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'events never change or go'; END $$;
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON events
FOR EACH STATEMENT EXECUTE FUNCTION events_never_change();
CREATE TRIGGER events_never_go BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION events_never_change();

-- Lists are in the order of bytes, whatever the database's own order is.
CREATE INDEX apps_in_order ON apps (id COLLATE "C");
CREATE INDEX users_in_order ON users (username COLLATE "C");
DROP INDEX domains_of_app;
CREATE INDEX domains_of_app ON domains (app, domain COLLATE "C");
