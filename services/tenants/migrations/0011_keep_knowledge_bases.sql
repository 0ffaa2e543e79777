-- migrate:up
-- By the contract's names; their credentials are a secret of the client's, one for all of them.
alter table tenants.tenants add column knowledge_bases jsonb not null default '[]';
alter table tenants.secrets
    drop constraint secrets_kind_check,
    add constraint secrets_kind_check check (kind in ('webhook', 'ticketing', 'knowledge_bases'));

-- Asked for every two seconds by each replica that reads them; few clients have any.
create index tenants_with_knowledge_bases on tenants.tenants (tenant_id) where knowledge_bases <> '[]';

grant usage, create on schema tenants to dossier_tenants_directory;
create function tenants.knowledge_bases_after(last_id text, count integer)
    returns table (tenant_id text, knowledge_bases jsonb)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select t.tenant_id, t.knowledge_bases
        from tenants.tenants t
        where t.tenant_id > last_id and t.state = 'active' and t.knowledge_bases <> '[]'
        order by t.tenant_id limit count
    $$;
alter function tenants.knowledge_bases_after owner to dossier_tenants_directory;
revoke execute on function tenants.knowledge_bases_after from public;
grant execute on function tenants.knowledge_bases_after to dossier_tenants;
revoke create on schema tenants from dossier_tenants_directory;

-- migrate:down
drop function tenants.knowledge_bases_after;
drop index tenants.tenants_with_knowledge_bases;
alter table tenants.secrets no force row level security;
delete from tenants.secrets where kind = 'knowledge_bases';
alter table tenants.secrets
    force row level security,
    drop constraint secrets_kind_check,
    add constraint secrets_kind_check check (kind in ('webhook', 'ticketing'));
alter table tenants.tenants drop column knowledge_bases;
