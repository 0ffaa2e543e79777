-- migrate:up
-- What does not count any more is not kept.
grant delete on tenants.secrets to dossier_tenants;

alter table tenants.api_keys
    add column display_name text not null default '',
    add column last_used_time timestamptz;

-- What was changed, by whom. Appended to and read; each hash covers the one before it.
create table tenants.audit_events (
    tenant_id text collate "C" not null,
    sequence bigint not null check (sequence > 0),
    create_time timestamptz not null,
    principal text not null,
    subject text not null,
    role text not null,
    action text not null,
    resource text not null,
    changes jsonb not null,
    request_id text not null,
    hash bytea not null,
    primary key (tenant_id, sequence)
);
alter table tenants.audit_events enable row level security;
alter table tenants.audit_events force row level security;
create policy audit_events_of_tenant on tenants.audit_events to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
-- Neither update nor delete: what is written stays.
grant select, insert on tenants.audit_events to dossier_tenants;

grant update (last_used_time) on tenants.api_keys to dossier_tenants_directory;
create policy api_keys_used_by_directory on tenants.api_keys for update to dossier_tenants_directory
    using (true) with check (true);

-- The use is noted once a minute: a busy key must not cost a write a request.
create or replace function tenants.holder_of_key(key_hash bytea)
    returns table (key_id text, tenant_id text, role text, hash bytea)
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    as $$
        with good as (
            select k.key_id, k.tenant_id, k.role, k.hash, k.last_used_time
            from tenants.api_keys k left join tenants.tenants t on t.tenant_id = k.tenant_id
            where k.hash = key_hash
              and k.revoke_time is null
              and (k.expire_time is null or k.expire_time > now())
              and (k.tenant_id is null or t.state = 'active')
        ), used as (
            update tenants.api_keys k set last_used_time = now()
            from good
            where k.key_id = good.key_id
              and (good.last_used_time is null or good.last_used_time < now() - interval '1 minute')
        )
        select good.key_id, good.tenant_id, good.role, good.hash from good
    $$;

-- migrate:down
revoke delete on tenants.secrets from dossier_tenants;
create or replace function tenants.holder_of_key(key_hash bytea)
    returns table (key_id text, tenant_id text, role text, hash bytea)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select k.key_id, k.tenant_id, k.role, k.hash
        from tenants.api_keys k left join tenants.tenants t on t.tenant_id = k.tenant_id
        where k.hash = key_hash
          and k.revoke_time is null
          and (k.expire_time is null or k.expire_time > now())
          and (k.tenant_id is null or t.state = 'active')
    $$;
drop policy api_keys_used_by_directory on tenants.api_keys;
revoke update (last_used_time) on tenants.api_keys from dossier_tenants_directory;
drop table tenants.audit_events;
alter table tenants.api_keys drop column display_name, drop column last_used_time;
