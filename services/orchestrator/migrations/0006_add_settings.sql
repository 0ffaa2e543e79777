-- migrate:up
-- With which revision of the tenant's settings it was gathered; 0 until then.
alter table orchestrator.enhancements add column settings_revision bigint not null default 0;

-- Shares are the tenant's settings, and these a copy of them to claim by. Those that are here already were set
-- here: `inherited` keeps them until they have become settings. (A default, since row-level security hides the rows.)
alter table orchestrator.queue_policies add column inherited boolean not null default true;
alter table orchestrator.queue_policies alter column inherited set default false;

grant insert, update on orchestrator.queue_policies to dossier_orchestrator_queue;
drop policy queue_policies_queue on orchestrator.queue_policies;
create policy queue_policies_queue on orchestrator.queue_policies to dossier_orchestrator_queue
    using (true) with check (true);

-- The shares of all tenants, as their settings say: who is not among them has the usual one.
create function orchestrator.apply_shares(tenants text[], weights smallint[], caps integer[]) returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    insert into orchestrator.queue_policies as p (tenant_id, weight, max_in_progress)
    select s.tenant_id, s.weight, nullif(s.cap, 0)
    from unnest(tenants, weights, caps) as s (tenant_id, weight, cap)
    on conflict (tenant_id) do update
    set weight = excluded.weight, max_in_progress = excluded.max_in_progress, inherited = false
    where p.inherited or (p.weight, p.max_in_progress)
        is distinct from (excluded.weight, excluded.max_in_progress);
    update orchestrator.queue_policies p set weight = 1, max_in_progress = null
    where not p.inherited and (p.weight <> 1 or p.max_in_progress is not null)
        and p.tenant_id <> all (tenants);
end;

-- Those that were set before shares were settings, and are none yet.
create function orchestrator.inherited_shares()
returns table (tenant_id text, weight smallint, max_in_progress integer)
language sql stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select p.tenant_id, p.weight, p.max_in_progress
    from orchestrator.queue_policies p
    where p.inherited and (p.weight <> 1 or p.max_in_progress is not null);
end;

revoke execute on function orchestrator.apply_shares, orchestrator.inherited_shares from public;
grant execute on function orchestrator.apply_shares, orchestrator.inherited_shares to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_queue;
alter function orchestrator.apply_shares owner to dossier_orchestrator_queue;
alter function orchestrator.inherited_shares owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;

-- migrate:down
drop function orchestrator.inherited_shares;
drop function orchestrator.apply_shares;
drop policy queue_policies_queue on orchestrator.queue_policies;
create policy queue_policies_queue on orchestrator.queue_policies to dossier_orchestrator_queue using (true);
revoke insert, update on orchestrator.queue_policies from dossier_orchestrator_queue;
alter table orchestrator.queue_policies drop column inherited;
alter table orchestrator.enhancements drop column settings_revision;
