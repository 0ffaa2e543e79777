-- migrate:up
-- Audit events, written with the change that they tell of, until the tenants service has them.
create table orchestrator.audit_outbox (
    event_id uuid primary key,
    tenant_id text collate "C" not null,
    position bigint generated always as identity,
    create_time timestamptz not null default now(),
    principal text not null,
    subject text not null,
    role text not null,
    request_id text not null,
    action text not null,
    resource text not null,
    changes jsonb not null,
    -- Until when an import adds to it; null where nobody does.
    open_until timestamptz,
    -- Until when a replica is handing it over.
    lease_end timestamptz
);
create index audit_outbox_by_position on orchestrator.audit_outbox (tenant_id, position);
alter table orchestrator.audit_outbox enable row level security;
alter table orchestrator.audit_outbox force row level security;
create policy audit_outbox_of_tenant on orchestrator.audit_outbox to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, delete, update (changes, open_until, lease_end) on orchestrator.audit_outbox
    to dossier_orchestrator;

-- Whose events wait, and nothing of what they say: they are read in transactions of one tenant.
do $$
begin
    create role dossier_orchestrator_audit nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_orchestrator_audit to current_user;
    end if;
end $$;
grant usage, create on schema orchestrator to dossier_orchestrator_audit;
grant select (tenant_id, create_time) on orchestrator.audit_outbox to dossier_orchestrator_audit;
create policy audit_outbox_of_backlog on orchestrator.audit_outbox for select to dossier_orchestrator_audit using (true);

create function orchestrator.audit_backlog() returns table (tenant_id text, events bigint, oldest timestamptz)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select o.tenant_id, count(*), min(o.create_time)
        from orchestrator.audit_outbox o group by o.tenant_id order by min(o.create_time)
    $$;
alter function orchestrator.audit_backlog owner to dossier_orchestrator_audit;
revoke execute on function orchestrator.audit_backlog from public;
grant execute on function orchestrator.audit_backlog to dossier_orchestrator;
revoke create on schema orchestrator from dossier_orchestrator_audit;

-- migrate:down
-- Events that wait are lost: let them be handed over before.
drop function orchestrator.audit_backlog;
drop table orchestrator.audit_outbox;
revoke usage on schema orchestrator from dossier_orchestrator_audit;
