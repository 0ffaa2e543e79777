-- migrate:up
alter table tenants.tenants
    add column sections text[] not null default '{}',
    add column instructions text not null default '',
    add column note_visibility text not null default 'private'
        check (note_visibility in ('private', 'not_posted')),
    add column queue_weight text not null default 'standard'
        check (queue_weight in ('standard', 'preferred', 'premium')),
    add column max_in_progress integer not null default 0 check (max_in_progress between 0 and 1000),
    add column revision bigint not null default 1;

-- Asked for every two seconds by each replica of the orchestrator; few clients have another than the usual share.
create index tenants_with_a_share on tenants.tenants (tenant_id)
    where queue_weight <> 'standard' or max_in_progress <> 0;

grant usage, create on schema tenants to dossier_tenants_directory;
create function tenants.queue_shares_after(last_id text, count integer)
    returns table (tenant_id text, queue_weight text, max_in_progress integer)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select t.tenant_id, t.queue_weight, t.max_in_progress
        from tenants.tenants t
        where t.tenant_id > last_id and t.state <> 'deleting' and (t.queue_weight <> 'standard' or t.max_in_progress <> 0)
        order by t.tenant_id limit count
    $$;
alter function tenants.queue_shares_after owner to dossier_tenants_directory;
revoke execute on function tenants.queue_shares_after from public;
grant execute on function tenants.queue_shares_after to dossier_tenants;
revoke create on schema tenants from dossier_tenants_directory;

-- migrate:down
drop function tenants.queue_shares_after;
drop index tenants.tenants_with_a_share;
alter table tenants.tenants
    drop column sections,
    drop column instructions,
    drop column note_visibility,
    drop column queue_weight,
    drop column max_in_progress,
    drop column revision;
