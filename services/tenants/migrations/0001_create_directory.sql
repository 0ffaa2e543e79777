-- migrate:up
create table tenants.tenants (
    tenant_id text collate "C" primary key,
    display_name text not null,
    state text not null default 'active' check (state in ('active', 'suspended')),
    tool text not null,
    base_url text not null,
    options jsonb not null,
    language text not null,
    model text not null,
    max_words integer not null,
    sources jsonb not null,
    request_id text not null,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1
);

-- Ciphertext only. Two versions of a kind live side by side while it is rotated: the older one expires.
create table tenants.secrets (
    tenant_id text collate "C" not null references tenants.tenants on delete cascade,
    kind text not null check (kind in ('webhook', 'ticketing')),
    version integer not null,
    secret_id text not null,
    key_id text not null,
    wrapped_key bytea not null,
    ciphertext bytea not null,
    create_time timestamptz not null default now(),
    expire_time timestamptz,
    primary key (tenant_id, kind, version)
);

-- No tenant: an operator's key.
create table tenants.api_keys (
    key_id text primary key,
    tenant_id text collate "C" references tenants.tenants on delete cascade,
    role text not null check (role in ('admin', 'operator', 'technician', 'viewer')),
    hash bytea not null unique,
    create_time timestamptz not null default now(),
    expire_time timestamptz,
    revoke_time timestamptz,
    check ((tenant_id is null) = (role = 'operator'))
);
create index api_keys_by_tenant on tenants.api_keys (tenant_id);

alter table tenants.tenants enable row level security;
alter table tenants.tenants force row level security;
create policy tenants_of_tenant on tenants.tenants to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table tenants.secrets enable row level security;
alter table tenants.secrets force row level security;
create policy secrets_of_tenant on tenants.secrets to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table tenants.api_keys enable row level security;
alter table tenants.api_keys force row level security;
create policy api_keys_of_tenant on tenants.api_keys to dossier_tenants
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update on tenants.tenants, tenants.secrets, tenants.api_keys to dossier_tenants;

-- What has to look across tenants is these two functions and nothing else. Their owner can read the two tables,
-- and nobody can log in as it. Roles belong to the whole server, so it may be there already.
do $$
begin
    create role dossier_tenants_directory nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null;
end $$;
grant dossier_tenants_directory to current_user;

grant usage, create on schema tenants to dossier_tenants_directory;
grant select on tenants.tenants, tenants.api_keys to dossier_tenants_directory;
create policy tenants_of_directory on tenants.tenants for select to dossier_tenants_directory using (true);
create policy api_keys_of_directory on tenants.api_keys for select to dossier_tenants_directory using (true);

create function tenants.tenants_after(last_id text, count integer) returns setof tenants.tenants
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$ select * from tenants.tenants t where t.tenant_id > last_id order by t.tenant_id limit count $$;
alter function tenants.tenants_after owner to dossier_tenants_directory;
revoke execute on function tenants.tenants_after from public;
grant execute on function tenants.tenants_after to dossier_tenants;

create function tenants.holder_of_key(key_hash bytea)
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
alter function tenants.holder_of_key owner to dossier_tenants_directory;
revoke execute on function tenants.holder_of_key from public;
grant execute on function tenants.holder_of_key to dossier_tenants;

revoke create on schema tenants from dossier_tenants_directory;

-- migrate:down
drop function tenants.holder_of_key;
drop function tenants.tenants_after;
drop table tenants.api_keys, tenants.secrets, tenants.tenants;
revoke usage on schema tenants from dossier_tenants_directory;
