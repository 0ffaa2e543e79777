-- migrate:up
-- How far the sync of each of a client's knowledge bases is. The credentials are with tenants, the pages are articles.
create table knowledge.base_syncs (
    tenant_id text collate "C" not null default current_setting('dossier.tenant'),
    name text collate "C" not null,
    due_time timestamptz not null default now(),
    -- Something that changes with the settings: as they are, and as they were at the last sync.
    settings text not null default '',
    synced_settings text,
    -- All pages are compared next time, and what is there no more is removed.
    whole_wanted boolean not null default true,
    whole_time timestamptz,
    -- What changed before is known.
    changed_since timestamptz,
    -- Of the replica that is at it.
    lease_id uuid,
    lease_end timestamptz,
    start_time timestamptz,
    success_time timestamptz,
    error text not null default '',
    created_count bigint not null default 0,
    updated_count bigint not null default 0,
    removed_count bigint not null default 0,
    rejected_count bigint not null default 0,
    primary key (tenant_id, name)
);
alter table knowledge.base_syncs enable row level security;
alter table knowledge.base_syncs force row level security;
create policy base_syncs_of_tenant on knowledge.base_syncs to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, update, delete on knowledge.base_syncs to dossier_knowledge;

-- Whose syncs are due, and which there are: how they stand is read in transactions of one tenant.
grant usage, create on schema knowledge to dossier_knowledge_backlog;
grant select (tenant_id, name, settings, due_time, lease_end) on knowledge.base_syncs to dossier_knowledge_backlog;
create policy base_syncs_of_backlog on knowledge.base_syncs for select to dossier_knowledge_backlog using (true);
create function knowledge.due_syncs(row_limit integer) returns table (tenant_id text)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select s.tenant_id from knowledge.base_syncs s
        group by s.tenant_id
        having bool_or(s.due_time <= now()) and bool_and(s.lease_end is null or s.lease_end < now())
        order by min(s.due_time)
        limit row_limit
    $$;
create function knowledge.clients_with_syncs() 
    returns table (tenant_id text, names text[], settings text[])
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select s.tenant_id, array_agg(s.name order by s.name), array_agg(s.settings order by s.name)
        from knowledge.base_syncs s group by s.tenant_id
    $$;
alter function knowledge.clients_with_syncs owner to dossier_knowledge_backlog;
revoke execute on function knowledge.clients_with_syncs from public;
grant execute on function knowledge.clients_with_syncs to dossier_knowledge;
alter function knowledge.due_syncs owner to dossier_knowledge_backlog;
revoke execute on function knowledge.due_syncs from public;
grant execute on function knowledge.due_syncs to dossier_knowledge;
revoke create on schema knowledge from dossier_knowledge_backlog;

-- migrate:down
drop function knowledge.due_syncs, knowledge.clients_with_syncs;
drop table knowledge.base_syncs;
