-- migrate:up
-- A batch holds tickets of many tenants, and the service's own role sees one tenant at a time. So acceptance,
-- and nothing else, runs as a role that nobody can log in as.
do $$
begin
    -- Roles belong to the whole server: another database's migration may have made it.
    create role dossier_orchestrator_acceptance nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null;
end
$$;
do $$
begin
    -- Without it only a superuser may give a function to the role.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_orchestrator_acceptance to current_user;
    end if;
end
$$;

grant usage on schema orchestrator, dbos to dossier_orchestrator_acceptance;
grant select, insert on orchestrator.enhancements to dossier_orchestrator_acceptance;
grant select, insert, update on dbos.workflow_status, dbos.workflow_input to dossier_orchestrator_acceptance;
create policy enhancements_acceptance on orchestrator.enhancements to dossier_orchestrator_acceptance
    using (true)
    with check (true);

-- Keeps every offer that is new and puts it into its tenant's queue, and answers the work of each offer, in
-- order: its own id, or the id of the work that has one of its keys already.
create function orchestrator.accept(
    queue text,
    ids text[],
    tenants text[],
    purposes text[],
    tools text[],
    tickets text[],
    revisions text[],
    deliveries text[],
    requests text[],
    hints boolean[],
    delivers boolean[],
    contents bytea[],
    trace text
) returns table (enhancement_id text, created boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    fresh text[];
begin
    with inserted as (
        insert into orchestrator.enhancements (
            id, tenant_id, purpose, tool, ticket_id, revision, delivery_id, request_id, is_hint, deliver,
            ticket, trace_context
        )
        select o.id, o.tenant, o.purpose, o.tool, o.ticket, o.revision, o.delivery, o.request, o.hint, o.deliver,
               o.content, trace
        from unnest(
            ids, tenants, purposes, tools, tickets, revisions, deliveries, requests, hints, delivers, contents
        ) as o (id, tenant, purpose, tool, ticket, revision, delivery, request, hint, deliver, content)
        -- Batches that share tickets wait for each other's rows in one order, so never in a circle.
        order by o.tenant, o.tool, o.ticket, o.purpose, o.revision, o.delivery, o.request, o.id
        on conflict do nothing
        returning id
    )
    select coalesce(array_agg(id), '{}') into fresh from inserted;

    perform dbos.enqueue_workflow(
        o.purpose,
        queue,
        array[to_json(o.tenant), to_json(o.id)],
        workflow_id => o.id,
        queue_partition_key => o.tenant
    )
    from unnest(ids, tenants, purposes) as o (id, tenant, purpose)
    where o.id = any (fresh);

    -- A statement of its own: it sees what another batch committed while this one waited for it.
    return query
    select case when o.id = any (fresh) then o.id else known.id end, o.id = any (fresh)
    from unnest(ids, tenants, purposes, tools, tickets, revisions, deliveries, requests) with ordinality
        as o (id, tenant, purpose, tool, ticket, revision, delivery, request, place)
    left join lateral (
        select e.id from orchestrator.enhancements e
        where e.tenant_id = o.tenant and e.tool = o.tool and e.delivery_id = o.delivery
        union all
        select e.id from orchestrator.enhancements e
        where e.tenant_id = o.tenant and e.tool = o.tool and e.ticket_id = o.ticket
            and e.purpose = o.purpose and e.revision = o.revision
        union all
        select e.id from orchestrator.enhancements e
        where e.tenant_id = o.tenant and e.request_id = o.request
        limit 1
    ) known on o.id <> all (fresh)
    order by o.place;
end
$$;

revoke all on function orchestrator.accept from public;
grant execute on function orchestrator.accept to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_acceptance;
alter function orchestrator.accept owner to dossier_orchestrator_acceptance;
revoke create on schema orchestrator from dossier_orchestrator_acceptance;

-- migrate:down
drop function orchestrator.accept;
drop policy enhancements_acceptance on orchestrator.enhancements;
revoke all on orchestrator.enhancements from dossier_orchestrator_acceptance;
revoke all on dbos.workflow_status, dbos.workflow_input from dossier_orchestrator_acceptance;
revoke all on schema orchestrator, dbos from dossier_orchestrator_acceptance;
