-- Domains by their last byte first: those below a host name are side by side.
ALTER TABLE domains ADD COLUMN mirror TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE domains SET mirror = reverse(domain);
CREATE INDEX domains_mirrored ON domains (mirror);
