-- migrate:up
alter table tenants.tenants
    drop constraint tenants_state_check,
    add constraint tenants_state_check check (state in ('active', 'suspended', 'deleting')),
    -- In days; 0 is the default.
    add column ticket_days integer not null default 0,
    add column run_days integer not null default 0,
    add column ledger_days integer not null default 0,
    add column audit_days integer not null default 0;

grant delete on tenants.tenants, tenants.api_keys to dossier_tenants;

-- Of the provider's: what remains of clients that were deleted.
create table tenants.deletions (
    deletion_id uuid primary key,
    -- No row-level security is on it, so not `tenant_id`.
    client text collate "C" not null,
    request_time timestamptz not null default now(),
    principal text not null,
    subject text not null,
    request_id text not null,
    audit_events bigint not null,
    audit_head bytea not null,
    -- By store: what was removed of each table, what is left, and why it is waited for.
    stores jsonb not null default '{}',
    verify_time timestamptz,
    end_time timestamptz
);
create unique index deletions_under_way on tenants.deletions (client) where end_time is null;
create index deletions_by_time on tenants.deletions (request_time desc, deletion_id desc);
grant select, insert on tenants.deletions to dossier_tenants;
grant update (stores, verify_time, end_time) on tenants.deletions to dossier_tenants;

-- Where the log begins of which the retention has removed the oldest: the last that is gone.
create table tenants.audit_anchors (
    tenant_id text collate "C" primary key,
    sequence bigint not null check (sequence >= 0),
    hash bytea not null
);
alter table tenants.audit_anchors enable row level security;
alter table tenants.audit_anchors force row level security;
create policy audit_anchors_of_tenant on tenants.audit_anchors to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select on tenants.audit_anchors to dossier_tenants;

-- What is in the log is removed by these two functions and by nothing else: the oldest when they are older than the
-- least that is kept, and all of a client that is being deleted.
do $$
begin
    create role dossier_tenants_audit nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null;
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_tenants_audit to current_user;
    end if;
end $$;
grant usage, create on schema tenants to dossier_tenants_audit;
grant select on tenants.tenants to dossier_tenants_audit;
grant select, delete on tenants.audit_events to dossier_tenants_audit;
grant select, insert, update, delete on tenants.audit_anchors to dossier_tenants_audit;
create policy tenants_of_audit on tenants.tenants for select to dossier_tenants_audit
    using (tenant_id = current_setting('dossier.tenant', true));
create policy audit_events_of_audit on tenants.audit_events to dossier_tenants_audit
    using (tenant_id = current_setting('dossier.tenant', true));
create policy audit_anchors_of_audit on tenants.audit_anchors to dossier_tenants_audit
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

create function tenants.expire_audit_events(for_tenant text, older_seconds double precision, most integer)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant text := current_setting('dossier.tenant', true);
        last_gone record;
        removed bigint;
    begin
        if older_seconds is null or older_seconds < 90 * 86400 then
            raise exception 'audit events are kept for 90 days at least' using errcode = 'insufficient_privilege';
        end if;
        if for_tenant is distinct from tenant then
            raise exception 'only in a transaction of that tenant' using errcode = 'insufficient_privilege';
        end if;
        -- Oldest first and without gaps, up to the first that is young enough; the newest stays, for the next one's
        -- hash covers it.
        select e.sequence, e.hash into last_gone
        from (
            select o.sequence, o.hash, o.create_time from tenants.audit_events o
            where o.tenant_id = tenant order by o.sequence limit most
        ) e
        where e.sequence < coalesce(
                (select min(y.sequence) from tenants.audit_events y
                 where y.tenant_id = tenant and y.create_time >= now() - make_interval(secs => older_seconds)),
                (select max(y.sequence) from tenants.audit_events y where y.tenant_id = tenant))
        order by e.sequence desc limit 1;
        if last_gone.sequence is null then
            return 0;
        end if;
        insert into tenants.audit_anchors as known (tenant_id, sequence, hash)
        values (tenant, last_gone.sequence, last_gone.hash)
        on conflict (tenant_id) do update set sequence = excluded.sequence, hash = excluded.hash
        where known.sequence < excluded.sequence;
        delete from tenants.audit_events e where e.tenant_id = tenant and e.sequence <= last_gone.sequence;
        get diagnostics removed = row_count;
        return removed;
    end $$;

create function tenants.erase_audit_events(most integer) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant text := current_setting('dossier.tenant', true);
        removed bigint;
    begin
        if not exists (select from tenants.tenants t where t.tenant_id = tenant and t.state = 'deleting') then
            raise exception 'only of a tenant that is being deleted' using errcode = 'insufficient_privilege';
        end if;
        delete from tenants.audit_events e where e.tenant_id = tenant and e.sequence in (
            select o.sequence from tenants.audit_events o where o.tenant_id = tenant order by o.sequence limit most
        );
        get diagnostics removed = row_count;
        return removed;
    end $$;

create function tenants.erase_audit_anchors(most integer) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant text := current_setting('dossier.tenant', true);
        removed bigint;
    begin
        if not exists (select from tenants.tenants t where t.tenant_id = tenant and t.state = 'deleting') then
            raise exception 'only of a tenant that is being deleted' using errcode = 'insufficient_privilege';
        end if;
        delete from tenants.audit_anchors a where a.tenant_id = tenant and most > 0;
        get diagnostics removed = row_count;
        return removed;
    end $$;

revoke all on function tenants.expire_audit_events, tenants.erase_audit_events, tenants.erase_audit_anchors from public;
grant execute on function tenants.expire_audit_events, tenants.erase_audit_events, tenants.erase_audit_anchors
    to dossier_tenants;
alter function tenants.expire_audit_events owner to dossier_tenants_audit;
alter function tenants.erase_audit_events owner to dossier_tenants_audit;
alter function tenants.erase_audit_anchors owner to dossier_tenants_audit;
revoke create on schema tenants from dossier_tenants_audit;

-- migrate:down
drop function tenants.erase_audit_anchors;
drop function tenants.erase_audit_events;
drop function tenants.expire_audit_events;
drop policy tenants_of_audit on tenants.tenants;
drop policy audit_events_of_audit on tenants.audit_events;
drop table tenants.audit_anchors;
drop table tenants.deletions;
revoke all on tenants.tenants, tenants.audit_events from dossier_tenants_audit;
revoke all on schema tenants from dossier_tenants_audit;
revoke delete on tenants.tenants, tenants.api_keys from dossier_tenants;
update tenants.tenants set state = 'suspended' where state = 'deleting';
alter table tenants.tenants
    drop constraint tenants_state_check,
    add constraint tenants_state_check check (state in ('active', 'suspended')),
    drop column audit_days,
    drop column ledger_days,
    drop column run_days,
    drop column ticket_days;
