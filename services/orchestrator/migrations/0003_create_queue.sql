-- migrate:up
-- What a run needs to go on from where it stands, and what an operator steers.
alter table orchestrator.enhancements
    drop constraint enhancements_purpose_check,
    add constraint enhancements_purpose_check check (purpose in ('enhance', 'record', 'replay')),
    -- The step after the last that succeeded; claimed runs begin there.
    add column next_step text not null default 'refresh',
    -- 1 (urgent) to 5 (low).
    add column priority smallint not null default 3 check (priority between 1 and 5),
    add column next_attempt_time timestamptz,
    add column replay_of text,
    -- Of subject and description, as the webhook said them and as the tool did: by which a change that leaves
    -- both alone is known.
    add column offered_hash bytea,
    add column read_hash bytea,
    -- Changes taken in since it was accepted; `stale` until they are gathered.
    add column changes integer not null default 0,
    add column stale boolean not null default false,
    -- Attempts at delivery of which it is certain that they posted nothing.
    add column idle_deliveries integer not null default 0;

alter table orchestrator.steps
    -- Until when the last attempt may have begun something of which nobody knows how it ended.
    add column uncertain_time timestamptz;

drop index orchestrator.enhancements_latest;
drop index orchestrator.enhancements_of_ticket;
create index enhancements_latest on orchestrator.enhancements (tenant_id, id desc) where purpose <> 'record';
create index enhancements_of_ticket
    on orchestrator.enhancements (tenant_id, ticket_id, id desc) where purpose <> 'record';
create index enhancements_in_state on orchestrator.enhancements (tenant_id, state, id desc);
create index enhancements_ended on orchestrator.enhancements (end_time) where end_time is not null;

-- Deliveries that made no work of their own: their keys are answered with the work that took them in.
create table orchestrator.changes (
    tenant_id text not null,
    tool text not null,
    ticket_id text not null,
    revision text not null,
    delivery_id text,
    enhancement_id text not null references orchestrator.enhancements on delete cascade,
    create_time timestamptz not null default now(),
    primary key (tenant_id, tool, ticket_id, revision)
);
create unique index changes_by_delivery
    on orchestrator.changes (tenant_id, tool, delivery_id) where delivery_id is not null;
create index changes_of_enhancement on orchestrator.changes (enhancement_id);

-- A tenant without a row has the defaults.
create table orchestrator.queue_policies (
    tenant_id text primary key,
    -- Runs it may start in a round.
    weight smallint not null default 1 check (weight in (1, 2, 4)),
    -- Runs it may have in progress; null for the installation's default.
    max_in_progress integer check (max_in_progress between 1 and 1000),
    pause_time timestamptz
);
-- One row while everything is paused.
create table orchestrator.pauses (
    everything boolean primary key default true check (everything),
    pause_time timestamptz not null default now()
);
-- Who works, as long as it says so.
create table orchestrator.executors (
    executor_id text primary key,
    renew_time timestamptz not null
);

alter table orchestrator.changes enable row level security;
alter table orchestrator.changes force row level security;
create policy changes_of_tenant on orchestrator.changes to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
alter table orchestrator.queue_policies enable row level security;
alter table orchestrator.queue_policies force row level security;
create policy queue_policies_of_tenant on orchestrator.queue_policies to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select on orchestrator.changes to dossier_orchestrator;
grant select, insert, update on orchestrator.queue_policies to dossier_orchestrator;
grant select, insert, delete on orchestrator.pauses to dossier_orchestrator;
grant select, insert, update, delete on orchestrator.executors to dossier_orchestrator;

-- Who takes up work sees the queues of all tenants: functions, of a role that nobody can log in as.
do $$
begin
    create role dossier_orchestrator_queue nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null;
end
$$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_orchestrator_queue to current_user;
    end if;
end
$$;
grant usage, create on schema orchestrator to dossier_orchestrator_queue;
grant usage on schema dbos to dossier_orchestrator_queue;
grant select, update, delete on orchestrator.enhancements to dossier_orchestrator_queue;
grant select, insert, update on orchestrator.steps to dossier_orchestrator_queue;
grant select on orchestrator.queue_policies, orchestrator.pauses, orchestrator.changes
    to dossier_orchestrator_queue;
grant select, delete on orchestrator.executors to dossier_orchestrator_queue;
grant select, update, delete on dbos.workflow_status to dossier_orchestrator_queue;
grant select, delete on dbos.workflow_input, dbos.workflow_output, dbos.operation_outputs
    to dossier_orchestrator_queue;
create policy enhancements_queue on orchestrator.enhancements to dossier_orchestrator_queue
    using (true) with check (true);
create policy steps_queue on orchestrator.steps to dossier_orchestrator_queue using (true) with check (true);
create policy changes_queue on orchestrator.changes to dossier_orchestrator_queue using (true);
create policy queue_policies_queue on orchestrator.queue_policies to dossier_orchestrator_queue using (true);

create function orchestrator.now_ms() returns bigint
language sql stable
set search_path = pg_catalog, pg_temp
return (extract(epoch from clock_timestamp()) * 1000)::bigint;

-- Takes up to `slots` runs for one executor, fairly between tenants; `engine/claiming.py` explains how. The last
-- row may have no run: it only says at which tenant the round ended.
-- Everything that says a run is being worked at is in this one commit: the engine's row, the run's state, and
-- the attempt at its next step.
create function orchestrator.claim(
    queue text,
    application text,
    version text,
    executor text,
    owner text,
    slots integer,
    default_cap integer,
    after text
) returns table (run text, tenant text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    turn text := after;
    wrapped boolean := false;
    found_tenant text;
    weight integer;
    cap integer;
    paused boolean;
    running integer;
    quantum integer;
    ids text[];
    barren integer := 0;
begin
    if exists (select from orchestrator.pauses) then
        return;
    end if;
    while slots > 0 loop
        if barren = 200 then
            -- Of a thousand that are paused or at their caps a poll passes some, the next goes on from there.
            run := null;
            tenant := turn;
            return next;
            exit;
        end if;
        -- The next tenant with work, in the order of the index: one seek, however many tenants there are.
        select w.queue_partition_key into found_tenant
        from dbos.workflow_status w
        where w.queue_name = queue and w.status = 'ENQUEUED' and w.queue_partition_key > turn
        order by w.queue_partition_key
        limit 1;
        if found_tenant is null or (wrapped and found_tenant > after) then
            -- The round is over, or goes on from the beginning of the circle.
            exit when wrapped;
            wrapped := true;
            turn := '';
            continue;
        end if;
        turn := found_tenant;
        barren := barren + 1;

        select p.weight, p.max_in_progress, p.pause_time is not null into weight, cap, paused
        from orchestrator.queue_policies p where p.tenant_id = turn;
        continue when coalesce(paused, false);
        -- Two replicas that count at once would both find room.
        continue when not pg_try_advisory_xact_lock(hashtextextended('orchestrator.claim ' || turn, 0));
        cap := coalesce(cap, default_cap);
        select count(*) into running
        from (
            select from dbos.workflow_status w
            where w.queue_name = queue and w.status = 'PENDING' and w.queue_partition_key = turn
            limit cap
        ) as in_progress;
        quantum := least(coalesce(weight, 1), cap - running, slots);
        continue when quantum <= 0;

        with chosen as (
            select w.workflow_uuid as id
            from dbos.workflow_status w
            where w.queue_name = queue and w.status = 'ENQUEUED' and w.queue_partition_key = turn
            order by w.priority, w.created_at, w.workflow_uuid
            limit quantum
            for update skip locked
        ), claimed as (
            update dbos.workflow_status w
            set status = 'PENDING', owner_xid = owner, executor_id = executor, application_version = version,
                application_name = application, started_at_epoch_ms = orchestrator.now_ms(),
                updated_at = orchestrator.now_ms()
            from chosen where w.workflow_uuid = chosen.id
            returning w.workflow_uuid
        )
        select array_agg(workflow_uuid) into ids from claimed;
        continue when ids is null;

        with begun as (
            update orchestrator.enhancements e
            set state = 'running', version = e.version + 1, start_time = coalesce(e.start_time, now()),
                next_attempt_time = null, stale = false,
                -- What was gathered before the ticket changed is not worth a brief.
                next_step = case
                    when e.stale and e.next_step = 'synthesize' then 'refresh' else e.next_step
                end
            where e.id = any (ids)
            returning e.id, e.tenant_id, e.next_step
        )
        insert into orchestrator.steps as s (enhancement_id, name, tenant_id, state, attempt, start_time)
        select begun.id, begun.next_step, begun.tenant_id, 'running', 1, now() from begun
        on conflict (enhancement_id, name) do update
        set state = 'running', attempt = s.attempt + 1, start_time = now(), duration_seconds = null,
            uncertain_time = case when s.state = 'running' then now() else s.uncertain_time end;

        slots := slots - cardinality(ids);
        barren := barren - 1;
        return query select unnest(ids), turn;
    end loop;
end
$$;

-- Keeps that a step ended, and with `outcome` the workflow, unless the run is another owner's by now: then
-- false, and nothing is kept. The row stays locked until the commit, so what is written beside it is fenced, too.
create function orchestrator.checkpoint(
    run text, owner text, place integer, step text, begun timestamptz, outcome text
) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from dbos.workflow_status w
    where w.workflow_uuid = run and w.status = 'PENDING' and w.owner_xid = owner
    for no key update;
    if not found then
        return false;
    end if;
    if step is not null then
        insert into dbos.operation_outputs (
            workflow_uuid, function_id, function_name, output, serialization, started_at_epoch_ms,
            completed_at_epoch_ms, application_name
        )
        select run, place, step, 'null', 'portable_json', (extract(epoch from begun) * 1000)::bigint,
               orchestrator.now_ms(), w.application_name
        from dbos.workflow_status w where w.workflow_uuid = run
        on conflict (workflow_uuid, function_id) do update
        set started_at_epoch_ms = excluded.started_at_epoch_ms,
            completed_at_epoch_ms = excluded.completed_at_epoch_ms;
    end if;
    if outcome is not null then
        update dbos.workflow_status w
        set status = outcome, owner_xid = null, updated_at = orchestrator.now_ms(),
            completed_at = orchestrator.now_ms()
        where w.workflow_uuid = run;
    end if;
    return true;
end
$$;

-- Puts a run back into the queue, to be taken up no earlier than `delay_ms` from now; false as for a checkpoint.
create function orchestrator.hand_back(run text, owner text, delay_ms bigint) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update dbos.workflow_status w
    set status = case when delay_ms > 0 then 'DELAYED' else 'ENQUEUED' end,
        delay_until_epoch_ms = case when delay_ms > 0 then orchestrator.now_ms() + delay_ms end,
        owner_xid = null, started_at_epoch_ms = null, updated_at = orchestrator.now_ms()
    where w.workflow_uuid = run and w.status = 'PENDING' and w.owner_xid = owner;
    return found;
end
$$;

-- Ends a workflow from outside, whoever is at it; its owner's next checkpoint finds itself fenced off.
create function orchestrator.withdraw(run text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update dbos.workflow_status w
    set status = 'CANCELLED', owner_xid = null, started_at_epoch_ms = null, updated_at = orchestrator.now_ms(),
        completed_at = orchestrator.now_ms()
    where w.workflow_uuid = run and w.status in ('ENQUEUED', 'PENDING', 'DELAYED');
$$;

-- Puts an ended run into its tenant's queue again.
create function orchestrator.requeue(
    run text, tenant text, purpose text, queue text, application text, priority integer
) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into dbos.workflow_status (
        workflow_uuid, status, name, queue_name, priority, queue_partition_key, created_at, updated_at,
        recovery_attempts, serialization, application_name
    )
    values (
        run, 'ENQUEUED', purpose, queue, priority, tenant, orchestrator.now_ms(), orchestrator.now_ms(), 0,
        'portable_json', application
    )
    on conflict (workflow_uuid) do update
    set status = 'ENQUEUED', queue_name = excluded.queue_name, recovery_attempts = 0, owner_xid = null,
        started_at_epoch_ms = null, completed_at = null, delay_until_epoch_ms = null,
        updated_at = excluded.updated_at;
    insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp)
    values (
        run, json_build_object('positionalArgs', json_build_array(tenant, run), 'namedArgs', json_build_object())::text,
        orchestrator.now_ms()
    )
    on conflict (workflow_uuid) do nothing;
$$;

-- Gives the runs of owners without a live lease back to the queue; those that were given back `most` times
-- end as failed, since it may be they that kill their workers. How many there were of each.
create function orchestrator.recover(queue text, lease_seconds double precision, most integer)
returns table (recovered bigint, buried bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    with orphaned as (
        select w.workflow_uuid as id, w.recovery_attempts as attempts
        from dbos.workflow_status w
        where w.queue_name = queue and w.status = 'PENDING' and not exists (
            select from orchestrator.executors e
            where e.executor_id = w.executor_id and e.renew_time > now() - make_interval(secs => lease_seconds)
        )
        for update skip locked
    ), back as (
        update dbos.workflow_status w
        set status = case when orphaned.attempts >= most then 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' else 'ENQUEUED' end,
            owner_xid = null, started_at_epoch_ms = null, updated_at = orchestrator.now_ms(),
            completed_at = case when orphaned.attempts >= most then orchestrator.now_ms() end,
            recovery_attempts = w.recovery_attempts + 1
        from orphaned where w.workflow_uuid = orphaned.id
        returning w.workflow_uuid as id, w.status as status
    ), failed as (
        update orchestrator.enhancements e
        set state = 'failed', version = e.version + 1, end_time = now(), failure_step = e.next_step,
            failure_reason = 'WORKER_LOST',
            failure_message = format(
                'its worker ended %s times while at it; look for the cause in the logs of those, then retry', most)
        from back where back.id = e.id and back.status <> 'ENQUEUED'
        returning e.id
    ), ended as (
        update orchestrator.steps s
        set state = 'failed', detail = 'its worker ended', uncertain_time = now()
        from failed where s.enhancement_id = failed.id and s.state = 'running'
    )
    select count(*) filter (where back.status = 'ENQUEUED'), count(*) filter (where back.status <> 'ENQUEUED')
    from back;
    delete from orchestrator.executors e where e.renew_time < now() - make_interval(secs => 100 * lease_seconds);
end
$$;

-- Gives the runs of an executor that leaves back to the queue.
create function orchestrator.release(queue text, executor text) returns bigint
language sql
set search_path = pg_catalog, pg_temp
as $$
    with theirs as (
        select w.workflow_uuid as id from dbos.workflow_status w
        where w.queue_name = queue and w.status = 'PENDING' and w.executor_id = executor
        for update skip locked
    ), back as (
        update dbos.workflow_status w
        set status = 'ENQUEUED', owner_xid = null, started_at_epoch_ms = null, updated_at = orchestrator.now_ms()
        from theirs where w.workflow_uuid = theirs.id
        returning 1
    )
    select count(*) from back;
$$;

-- Takes runs that it is not at from a living executor: they are then recovered, and counted, as a dead one's.
create function orchestrator.disown(queue text, executor text, runs text[]) returns bigint
language sql
set search_path = pg_catalog, pg_temp
as $$
    with theirs as (
        select w.workflow_uuid as id from dbos.workflow_status w
        where w.queue_name = queue and w.status = 'PENDING' and w.executor_id = executor
            and w.workflow_uuid = any (runs)
        for update skip locked
    ), gone as (
        update dbos.workflow_status w set executor_id = null
        from theirs where w.workflow_uuid = theirs.id
        returning 1
    )
    select count(*) from gone;
$$;

-- Removes what has ended long ago, some of it at a time: the engine's rows, of which nothing is asked any more,
-- soon; the enhancements after the retention.
create function orchestrator.sweep(
    queue text, engine_seconds double precision, retention_seconds double precision, most integer
) returns table (engine_rows bigint, enhancements bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    old text[];
begin
    select array_agg(w.workflow_uuid) into old
    from (
        select s.workflow_uuid from dbos.workflow_status s
        where s.completed_at < orchestrator.now_ms() - engine_seconds * 1000 and s.queue_name = queue
        order by s.completed_at
        limit most
        for update skip locked
    ) as w;
    delete from dbos.workflow_input where workflow_uuid = any (old);
    delete from dbos.workflow_output where workflow_uuid = any (old);
    delete from dbos.operation_outputs where workflow_uuid = any (old);
    delete from dbos.workflow_status where workflow_uuid = any (old);
    engine_rows := coalesce(cardinality(old), 0);
    with gone as (
        delete from orchestrator.enhancements e where e.id in (
            select o.id from orchestrator.enhancements o
            where o.end_time < now() - make_interval(secs => retention_seconds)
                -- With it would go the keys of changes that a sender may deliver again for days.
                and not exists (
                    select from orchestrator.changes c
                    where c.enhancement_id = o.id and c.create_time > now() - interval '4 days'
                )
            order by o.end_time
            limit most
            for update skip locked
        )
        returning 1
    )
    select count(*) into enhancements from gone;
    return next;
end
$$;

revoke all on function
    orchestrator.claim, orchestrator.checkpoint, orchestrator.hand_back, orchestrator.withdraw,
    orchestrator.requeue, orchestrator.recover, orchestrator.release, orchestrator.disown,
    orchestrator.sweep from public;
grant execute on function
    orchestrator.claim, orchestrator.checkpoint, orchestrator.hand_back, orchestrator.withdraw,
    orchestrator.requeue, orchestrator.recover, orchestrator.release, orchestrator.disown,
    orchestrator.sweep
    to dossier_orchestrator;
alter function orchestrator.claim owner to dossier_orchestrator_queue;
alter function orchestrator.recover owner to dossier_orchestrator_queue;
alter function orchestrator.sweep owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;

-- migrate:down
drop function orchestrator.sweep;
drop function orchestrator.disown;
drop function orchestrator.release;
drop function orchestrator.recover;
drop function orchestrator.requeue;
drop function orchestrator.withdraw;
drop function orchestrator.hand_back;
drop function orchestrator.checkpoint;
drop function orchestrator.claim;
drop function orchestrator.now_ms;
drop policy steps_queue on orchestrator.steps;
drop policy enhancements_queue on orchestrator.enhancements;
revoke all on orchestrator.enhancements, orchestrator.steps from dossier_orchestrator_queue;
revoke all on dbos.workflow_status, dbos.workflow_input, dbos.workflow_output, dbos.operation_outputs
    from dossier_orchestrator_queue;
drop table orchestrator.executors;
drop table orchestrator.pauses;
drop table orchestrator.queue_policies;
drop table orchestrator.changes;
revoke all on schema orchestrator, dbos from dossier_orchestrator_queue;
drop index orchestrator.enhancements_ended;
drop index orchestrator.enhancements_in_state;
drop index orchestrator.enhancements_of_ticket;
drop index orchestrator.enhancements_latest;
delete from orchestrator.enhancements where purpose = 'replay';
alter table orchestrator.steps drop column uncertain_time;
alter table orchestrator.enhancements
    drop constraint enhancements_purpose_check,
    add constraint enhancements_purpose_check check (purpose in ('enhance', 'record')),
    drop column idle_deliveries,
    drop column stale,
    drop column changes,
    drop column read_hash,
    drop column offered_hash,
    drop column replay_of,
    drop column next_attempt_time,
    drop column priority,
    drop column next_step;
create index enhancements_latest on orchestrator.enhancements (tenant_id, id desc) where purpose = 'enhance';
create index enhancements_of_ticket
    on orchestrator.enhancements (tenant_id, ticket_id, id desc) where purpose = 'enhance';
