-- Domains by their last byte first: those below a host name are side by side.
ALTER TABLE domains ADD COLUMN mirror TEXT NOT NULL DEFAULT '';
UPDATE domains SET mirror = (
    WITH RECURSIVE turned (n, text) AS (
        SELECT 0, '' UNION ALL SELECT n + 1, substr(domains.domain, n + 1, 1) || text FROM turned WHERE n < length(domains.domain)
    ) SELECT text FROM turned WHERE n = length(domains.domain)
);
CREATE INDEX domains_mirrored ON domains (mirror);
