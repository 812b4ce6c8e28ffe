-- An app's domains in their order.
DROP INDEX domains_of_app;
CREATE INDEX domains_of_app ON domains (app, domain);

-- The audit trail grows, and nothing else. A replaced row fires no trigger of
-- its deletion, so no id may come twice or late.
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events never change'); END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events never go'); END;
CREATE TRIGGER events_are_appended BEFORE INSERT ON events WHEN NEW.id <= (SELECT MAX(id) FROM events)
BEGIN SELECT RAISE(ABORT, 'events are appended'); END;
