-- migrate:up
-- When the settings were read that a share is a copy of, so that none that was read earlier replaces it. A time that
-- is yet to come is of a clock that went back, and holds nothing up.
alter table orchestrator.queue_policies add column read_time timestamptz not null default '-infinity';

-- As before, with how long ago the shares were asked for. The version before this does not say: as if it had asked
-- now, so that until all replicas are new a look may put back a share that was just set, as it might before.
drop function orchestrator.apply_shares;
create function orchestrator.apply_shares(
    tenants text[], weights smallint[], caps integer[], age_seconds double precision default 0
) returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    insert into orchestrator.queue_policies as p (tenant_id, weight, max_in_progress, read_time)
    select s.tenant_id, s.weight, nullif(s.cap, 0), now() - make_interval(secs => greatest(age_seconds, 0))
    from unnest(tenants, weights, caps) as s (tenant_id, weight, cap)
    on conflict (tenant_id) do update
    set weight = excluded.weight, max_in_progress = excluded.max_in_progress, inherited = false,
        read_time = excluded.read_time
    where (p.read_time <= excluded.read_time or p.read_time > clock_timestamp())
        and (p.inherited
            or (p.weight, p.max_in_progress) is distinct from (excluded.weight, excluded.max_in_progress));
    update orchestrator.queue_policies p
    set weight = 1, max_in_progress = null, read_time = now() - make_interval(secs => greatest(age_seconds, 0))
    where not p.inherited and (p.weight <> 1 or p.max_in_progress is not null)
        and (p.read_time <= now() - make_interval(secs => greatest(age_seconds, 0))
            or p.read_time > clock_timestamp())
        and p.tenant_id <> all (tenants);
end;

revoke execute on function orchestrator.apply_shares from public;
grant execute on function orchestrator.apply_shares to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_queue;
alter function orchestrator.apply_shares owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;

-- migrate:down
drop function orchestrator.apply_shares;
alter table orchestrator.queue_policies drop column read_time;
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
revoke execute on function orchestrator.apply_shares from public;
grant execute on function orchestrator.apply_shares to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_queue;
alter function orchestrator.apply_shares owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;
