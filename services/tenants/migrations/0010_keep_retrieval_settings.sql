-- migrate:up
-- By the contract's names; what is absent is as calibrated.
alter table tenants.tenants add column retrieval jsonb not null default '{}';

-- Asked for every two seconds by each replica that searches; few clients have settings of their own.
create index tenants_with_retrieval on tenants.tenants (tenant_id) where retrieval <> '{}';

-- How good the search of a client was found to be.
create table tenants.retrieval_evaluations (
    tenant_id text collate "C" not null,
    evaluation_id uuid not null,
    create_time timestamptz not null default now(),
    kind text not null check (kind in ('tickets', 'articles')),
    basis text not null check (basis in ('judgements', 'own_tickets')),
    query_count integer not null,
    unanswerable_count integer not null,
    meaning_share double precision not null,
    floor double precision not null,
    -- By name: the mean, and the interval it lies in.
    measures jsonb not null,
    primary key (tenant_id, evaluation_id)
);
create index retrieval_evaluations_by_time
    on tenants.retrieval_evaluations (tenant_id, create_time desc, evaluation_id desc);
alter table tenants.retrieval_evaluations enable row level security;
alter table tenants.retrieval_evaluations force row level security;
create policy retrieval_evaluations_of_tenant on tenants.retrieval_evaluations to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, delete on tenants.retrieval_evaluations to dossier_tenants;

grant usage, create on schema tenants to dossier_tenants_directory;
create function tenants.retrieval_settings_after(last_id text, count integer)
    returns table (tenant_id text, retrieval jsonb)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select t.tenant_id, t.retrieval
        from tenants.tenants t
        where t.tenant_id > last_id and t.state <> 'deleting' and t.retrieval <> '{}'
        order by t.tenant_id limit count
    $$;
alter function tenants.retrieval_settings_after owner to dossier_tenants_directory;
revoke execute on function tenants.retrieval_settings_after from public;
grant execute on function tenants.retrieval_settings_after to dossier_tenants;
revoke create on schema tenants from dossier_tenants_directory;

-- migrate:down
drop function tenants.retrieval_settings_after;
drop table tenants.retrieval_evaluations;
drop index tenants.tenants_with_retrieval;
alter table tenants.tenants drop column retrieval;
