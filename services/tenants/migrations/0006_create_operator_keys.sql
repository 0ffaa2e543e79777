-- migrate:up
-- The operator's own keys and audit log are kept under a name that no client can have: what keeps clients apart
-- keeps those apart from all of them.
alter table tenants.tenants add constraint tenants_name_of_the_operator check (tenant_id <> '-');

alter table tenants.api_keys
    drop constraint api_keys_tenant_id_fkey,
    drop constraint api_keys_check,
    no force row level security;
update tenants.api_keys set tenant_id = '-' where tenant_id is null;
alter table tenants.api_keys
    force row level security,
    alter column tenant_id set not null,
    -- The client, where there is one: its keys go with it.
    add column client_id text collate "C" generated always as (nullif(tenant_id, '-')) stored
        references tenants.tenants on delete cascade,
    add constraint api_keys_role_of_owner
        check (case when tenant_id = '-' then role <> 'admin' else role <> 'operator' end);
create index api_keys_by_client on tenants.api_keys (client_id);

create or replace function tenants.holder_of_key(key_hash bytea)
    returns table (key_id text, tenant_id text, role text, hash bytea)
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    as $$
        with good as (
            select k.key_id, k.client_id, k.role, k.hash, k.last_used_time
            from tenants.api_keys k left join tenants.tenants t on t.tenant_id = k.client_id
            where k.hash = key_hash
              and k.revoke_time is null
              and (k.expire_time is null or k.expire_time > now())
              and (k.client_id is null or t.state = 'active')
        ), used as (
            update tenants.api_keys k set last_used_time = now()
            from good
            where k.key_id = good.key_id
              and (good.last_used_time is null or good.last_used_time < now() - interval '1 minute')
        )
        select good.key_id, good.client_id, good.role, good.hash from good
    $$;

-- migrate:down
-- The operator's log and those of its keys that the schema before has no place for are lost.
alter table tenants.audit_events no force row level security;
delete from tenants.audit_events where tenant_id = '-';
alter table tenants.audit_events force row level security;
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
alter table tenants.api_keys
    drop constraint api_keys_role_of_owner,
    drop column client_id,
    alter column tenant_id drop not null,
    no force row level security;
delete from tenants.api_keys where tenant_id = '-' and role <> 'operator';
update tenants.api_keys set tenant_id = null where tenant_id = '-';
alter table tenants.api_keys
    force row level security,
    add constraint api_keys_tenant_id_fkey foreign key (tenant_id) references tenants.tenants on delete cascade,
    add constraint api_keys_check check ((tenant_id is null) = (role = 'operator'));
alter table tenants.tenants drop constraint tenants_name_of_the_operator;
