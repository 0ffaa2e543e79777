-- migrate:up
-- A client's rows go with it, and with their age: under its policies, in its transaction. So the sweep, which works for
-- all clients at once, has only the engine's rows left.
grant delete on orchestrator.enhancements, orchestrator.steps, orchestrator.feedback, orchestrator.changes,
    orchestrator.queue_policies to dossier_orchestrator;
revoke delete on orchestrator.enhancements from dossier_orchestrator_queue;

drop function orchestrator.sweep;
-- Removes the engine's rows of what has ended some time ago, of which nothing is asked any more; some at a time.
create function orchestrator.sweep(queue text, engine_seconds double precision, most integer) returns bigint
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
    return coalesce(cardinality(old), 0);
end
$$;
revoke all on function orchestrator.sweep from public;
grant execute on function orchestrator.sweep to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_queue;
alter function orchestrator.sweep owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;

-- migrate:down
drop function orchestrator.sweep;
grant delete on orchestrator.enhancements to dossier_orchestrator_queue;
revoke delete on orchestrator.enhancements, orchestrator.steps, orchestrator.feedback, orchestrator.changes,
    orchestrator.queue_policies from dossier_orchestrator;

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
revoke all on function orchestrator.sweep from public;
grant execute on function orchestrator.sweep to dossier_orchestrator;
grant create on schema orchestrator to dossier_orchestrator_queue;
alter function orchestrator.sweep owner to dossier_orchestrator_queue;
revoke create on schema orchestrator from dossier_orchestrator_queue;
