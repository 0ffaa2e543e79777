-- migrate:up
-- Acceptance takes changes of known tickets in, orders by priority, and enters the queue in one statement.
drop function orchestrator.accept;

grant update on orchestrator.enhancements to dossier_orchestrator_acceptance;
grant select, insert on orchestrator.changes to dossier_orchestrator_acceptance;
create policy changes_acceptance on orchestrator.changes to dossier_orchestrator_acceptance
    using (true) with check (true);

-- Puts runs into their tenants' queues: what `dbos.enqueue_workflow` does for one at a time and under a
-- savepoint each, for a batch. A test compares the rows.
create function orchestrator.enqueue(
    queue text, application text, ids text[], tenants text[], purposes text[], priorities integer[], delay_ms bigint
) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into dbos.workflow_status (
        workflow_uuid, status, name, queue_name, priority, queue_partition_key, created_at, updated_at,
        recovery_attempts, serialization, application_name, delay_until_epoch_ms
    )
    select o.id, case when delay_ms > 0 then 'DELAYED' else 'ENQUEUED' end, o.purpose, queue, o.priority, o.tenant,
           orchestrator.now_ms(), orchestrator.now_ms(), 0, 'portable_json', application,
           case when delay_ms > 0 then orchestrator.now_ms() + delay_ms end
    from unnest(ids, tenants, purposes, priorities) as o (id, tenant, purpose, priority);
    insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp)
    select o.id,
           json_build_object(
               'positionalArgs', json_build_array(o.tenant, o.id), 'namedArgs', json_build_object())::text,
           orchestrator.now_ms()
    from unnest(ids, tenants) as o (id, tenant);
$$;

-- The work that an offer with these keys is already answered with, or null.
create function orchestrator.known(
    tenant text, tool text, ticket text, purpose text, revision text, delivery text, request text
) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select e.id from orchestrator.enhancements e
    where e.tenant_id = known.tenant and e.tool = known.tool and e.delivery_id = known.delivery
    union all
    select e.id from orchestrator.enhancements e
    where e.tenant_id = known.tenant and e.tool = known.tool and e.ticket_id = known.ticket
        and e.purpose = known.purpose and e.revision = known.revision
    union all
    select e.id from orchestrator.enhancements e
    where e.tenant_id = known.tenant and e.request_id = known.request
    union all
    select c.enhancement_id from orchestrator.changes c
    where c.tenant_id = known.tenant and c.tool = known.tool and c.delivery_id = known.delivery
    union all
    select c.enhancement_id from orchestrator.changes c
    where known.purpose = 'enhance' and c.tenant_id = known.tenant and c.tool = known.tool
        and c.ticket_id = known.ticket and c.revision = known.revision
    limit 1
$$;

-- Gives a change of a ticket to work that is under way for it, or that already has this content; null when there
-- is none. Under the ticket's lock, so that two changes at once do not both begin something.
create function orchestrator.take_in(
    tenant text, tool text, ticket text, revision text, delivery text, hint boolean, priority integer,
    content bytea, hash bytea, settle_ms bigint
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    target text;
    latest record;
begin
    select e.id, e.state, e.offered_hash, e.read_hash, e.create_time into latest
    from orchestrator.enhancements e
    where e.tenant_id = take_in.tenant and e.tool = take_in.tool and e.ticket_id = take_in.ticket
        and e.purpose = 'enhance' and e.deliver
    order by e.id desc
    limit 1;
    if latest.id is null then
        return null;
    end if;
    if hash in (latest.offered_hash, latest.read_hash) and latest.state in ('queued', 'running', 'succeeded') then
        target := latest.id;
    elsif latest.state in ('queued', 'running') then
        -- The engine's row before ours, as everybody locks them.
        perform from dbos.workflow_status w where w.workflow_uuid = latest.id for no key update;
        update orchestrator.enhancements e
        set ticket = case when hint then e.ticket else content end, is_hint = hint or e.is_hint,
            offered_hash = coalesce(hash, e.offered_hash), changes = e.changes + 1, version = e.version + 1,
            stale = e.state = 'running' or e.next_step <> 'refresh',
            -- Not of what is to be read now: going back to it is a change, too.
            read_hash = null
        where e.id = latest.id and e.state in ('queued', 'running') and e.next_step <> 'deliver'
        returning e.id into target;
        -- Further changes are waited for a little longer, but not for ever.
        update dbos.workflow_status w
        set delay_until_epoch_ms = greatest(
                w.delay_until_epoch_ms,
                least(orchestrator.now_ms() + settle_ms, w.created_at + 4 * settle_ms))
        where w.workflow_uuid = target and w.status = 'DELAYED' and latest.state = 'queued';
    end if;
    if target is not null then
        if not hint then
            -- What has become urgent does not keep its old place.
            update dbos.workflow_status w set priority = take_in.priority
            where w.workflow_uuid = target and w.status in ('ENQUEUED', 'DELAYED')
                and w.priority <> take_in.priority;
            update orchestrator.enhancements e set priority = take_in.priority
            where e.id = target and e.state = 'queued' and e.priority <> take_in.priority;
        end if;
        insert into orchestrator.changes (tenant_id, tool, ticket_id, revision, delivery_id, enhancement_id)
        values (take_in.tenant, take_in.tool, take_in.ticket, take_in.revision, delivery, target)
        on conflict do nothing;
    end if;
    return target;
end
$$;

-- Keeps every offer that is new and puts it into its tenant's queue, and answers the work of each offer, in
-- order: its own id, or the id of the work that has one of its keys already or takes it in.
create function orchestrator.accept(
    queue text,
    application text,
    ids text[],
    tenants text[],
    purposes text[],
    tools text[],
    tickets text[],
    revisions text[],
    deliveries text[],
    requests text[],
    hints boolean[],
    updates boolean[],
    delivers boolean[],
    priorities integer[],
    hashes bytea[],
    contents bytea[],
    settle_ms bigint,
    trace text
) returns table (enhancement_id text, created boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    fresh text[];
    begun text[] := '{}';
    answers text[] := array_fill(null::text, array[cardinality(ids)]);
    place integer;
    answer text;
begin
    if true = any (updates) then
        -- One after the other, in an order of their own, so that batches do not wait for each other in a circle.
        for place in
            select o.place from unnest(tenants, tools, tickets, updates) with ordinality
                as o (tenant, tool, ticket, is_update, place)
            where o.is_update
            order by o.tenant, o.tool, o.ticket, o.place
        loop
            perform pg_advisory_xact_lock(hashtextextended(
                concat_ws(chr(31), 'orchestrator.accept', tenants[place], tools[place], tickets[place]), 0));
            answer := coalesce(
                orchestrator.known(
                    tenants[place], tools[place], tickets[place], purposes[place], revisions[place],
                    deliveries[place], requests[place]),
                orchestrator.take_in(
                    tenants[place], tools[place], tickets[place], revisions[place], deliveries[place],
                    hints[place], priorities[place], contents[place], hashes[place], settle_ms));
            if answer is null then
                insert into orchestrator.enhancements (
                    id, tenant_id, purpose, tool, ticket_id, revision, delivery_id, request_id, is_hint, deliver,
                    priority, offered_hash, ticket, trace_context, next_attempt_time
                )
                values (
                    ids[place], tenants[place], purposes[place], tools[place], tickets[place], revisions[place],
                    deliveries[place], requests[place], hints[place], delivers[place], priorities[place],
                    hashes[place], contents[place], trace, now() + make_interval(secs => settle_ms / 1000.0)
                )
                on conflict do nothing
                returning id into answer;
                if answer is not null then
                    begun := begun || answer;
                    perform orchestrator.enqueue(
                        queue, application, ids[place:place], tenants[place:place], purposes[place:place],
                        priorities[place:place], settle_ms);
                end if;
            end if;
            answers[place] := answer;
        end loop;
    end if;

    with inserted as (
        insert into orchestrator.enhancements (
            id, tenant_id, purpose, tool, ticket_id, revision, delivery_id, request_id, is_hint, deliver, priority,
            offered_hash, ticket, trace_context
        )
        select o.id, o.tenant, o.purpose, o.tool, o.ticket, o.revision, o.delivery, o.request, o.hint, o.deliver,
               o.priority, o.hash, o.content, trace
        from unnest(
            ids, tenants, purposes, tools, tickets, revisions, deliveries, requests, hints, delivers, priorities,
            hashes, contents, updates
        ) as o (
            id, tenant, purpose, tool, ticket, revision, delivery, request, hint, deliver, priority, hash, content,
            is_update)
        where not o.is_update
        -- Batches that share tickets wait for each other's rows in one order, so never in a circle.
        order by o.tenant, o.tool, o.ticket, o.purpose, o.revision, o.delivery, o.request, o.id
        on conflict do nothing
        returning id, tenant_id, purpose, priority
    )
    select coalesce(array_agg(id), '{}') into fresh from inserted;

    if cardinality(fresh) = cardinality(ids) then
        perform orchestrator.enqueue(queue, application, ids, tenants, purposes, priorities, 0);
        return query select o.id, true from unnest(ids) with ordinality as o (id, place) order by o.place;
        return;
    end if;
    perform orchestrator.enqueue(
        queue, application, array_agg(o.id), array_agg(o.tenant), array_agg(o.purpose), array_agg(o.priority), 0)
    from unnest(ids, tenants, purposes, priorities) as o (id, tenant, purpose, priority)
    where o.id = any (fresh);

    -- A statement of its own: it sees what another batch committed while this one waited for it.
    return query
    select case
            when o.id = any (fresh) then o.id
            else coalesce(
                o.answer,
                orchestrator.known(
                    o.tenant, o.tool, o.ticket, o.purpose, o.revision, o.delivery, o.request))
        end,
        o.id = any (fresh) or o.id = any (begun)
    from unnest(ids, tenants, purposes, tools, tickets, revisions, deliveries, requests, answers) with ordinality
        as o (id, tenant, purpose, tool, ticket, revision, delivery, request, answer, place)
    order by o.place;
end
$$;

revoke all on function
    orchestrator.accept, orchestrator.enqueue, orchestrator.known, orchestrator.take_in from public;
grant execute on function orchestrator.enqueue, orchestrator.known, orchestrator.take_in
    to dossier_orchestrator_acceptance;
grant execute on function orchestrator.accept to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_acceptance;
alter function orchestrator.accept owner to dossier_orchestrator_acceptance;
revoke create on schema orchestrator from dossier_orchestrator_acceptance;

-- migrate:down
drop function orchestrator.accept;
drop function orchestrator.take_in;
drop function orchestrator.known;
drop function orchestrator.enqueue;
drop policy changes_acceptance on orchestrator.changes;
revoke all on orchestrator.changes from dossier_orchestrator_acceptance;
revoke update on orchestrator.enhancements from dossier_orchestrator_acceptance;

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
