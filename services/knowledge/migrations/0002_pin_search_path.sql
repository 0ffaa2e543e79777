-- migrate:up
-- Unless the schema of temporary objects is named, and last, a caller's own types there come before PostgreSQL's,
-- and what they run would run as the function's owner, who sees every tenant.
alter function knowledge.find_candidates set search_path = pg_catalog, pg_temp;

-- migrate:down
alter function knowledge.find_candidates set search_path = pg_catalog;
