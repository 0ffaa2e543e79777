-- migrate:up
-- Works off what waits to be embedded, for every tenant, and can do nothing else.
do $$
begin
    create role dossier_history_backlog nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_history_backlog to current_user;
    end if;
end $$;
grant usage on schema history to dossier_history_backlog;

-- What tickets mean, apart from their words. Vectors of two models are never compared.
create table history.ticket_vectors (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    ticket_id text collate "C" not null,
    model text collate "C" not null,
    vector public.halfvec(384) not null,
    primary key (tenant_id, source, ticket_id)
);
-- Scoring must not fetch each vector from elsewhere.
alter table history.ticket_vectors alter column vector set storage plain;
-- The signs alone are a sixteenth of the vector; whoever comes out near by them is compared exactly.
create index ticket_vectors_by_signs on history.ticket_vectors
    using hnsw ((public.binary_quantize(vector)::bit(384)) public.bit_hamming_ops);

-- What is to be embedded, and who is at it until when.
create table history.embedding_backlog (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    ticket_id text collate "C" not null,
    added timestamptz not null default clock_timestamp(),
    taken_until timestamptz not null default '-infinity',
    primary key (tenant_id, source, ticket_id)
);
create index embedding_backlog_by_age on history.embedding_backlog (added);

alter table history.ticket_vectors enable row level security;
alter table history.ticket_vectors force row level security;
create policy ticket_vectors_of_tenant on history.ticket_vectors to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy ticket_vectors_by_function on history.ticket_vectors for select to dossier_history_search
    using (true);
create policy ticket_vectors_seen_by_backlog on history.ticket_vectors for select to dossier_history_backlog
    using (true);

alter table history.embedding_backlog enable row level security;
alter table history.embedding_backlog force row level security;
create policy embedding_backlog_of_tenant on history.embedding_backlog to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy embedding_backlog_by_function on history.embedding_backlog to dossier_history_backlog
    using (true) with check (true);

create policy ticket_search_seen_by_backlog on history.ticket_search for select to dossier_history_backlog
    using (true);

grant select, insert, update, delete on history.ticket_vectors, history.embedding_backlog to dossier_history;
grant select on history.ticket_vectors to dossier_history_search;
grant select (tenant_id, source, ticket_id, model) on history.ticket_vectors to dossier_history_backlog;
grant select (tenant_id, source, ticket_id) on history.ticket_search to dossier_history_backlog;
grant select, insert, update on history.embedding_backlog to dossier_history_backlog;

-- As find_candidates, by meaning: distance operators are not leakproof either. A tenant's own rows are compared
-- one by one while they are few; the index, which all tenants share, would mostly meet those of others.
create function history.find_nearest(
    question public.halfvec, wanted_model text, few boolean, row_limit integer
)
returns table (source text, ticket_id text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set hnsw.ef_search = 200
set hnsw.iterative_scan = relaxed_order
as $$
declare
    tenant constant text := nullif(current_setting('dossier.tenant', true), '');
    signs constant bit(384) := public.binary_quantize(question)::bit(384);
begin
    if tenant is null then
        raise exception 'dossier.tenant is not set' using errcode = 'insufficient_privilege';
    end if;
    if few then
        return query
            select near.source, near.ticket_id from history.ticket_vectors as near
            where near.tenant_id = tenant and near.model = wanted_model
            order by (near.vector operator(public.<=>) question) + 0, near.source, near.ticket_id
            limit row_limit;
        return;
    end if;
    return query
        select near.source, near.ticket_id from (
            select found.source, found.ticket_id, found.vector from history.ticket_vectors as found
            where found.tenant_id = tenant and found.model = wanted_model
            order by public.binary_quantize(found.vector)::bit(384) operator(public.<~>) signs
            limit 2 * row_limit
        ) as near
        order by near.vector operator(public.<=>) question, near.source, near.ticket_id
        limit row_limit;
end $$;
revoke all on function history.find_nearest from public;
grant execute on function history.find_nearest to dossier_history;

-- The newest first: a ticket resolved just now is not behind a year's import. Nobody else gets them meanwhile.
create function history.take_backlog(row_limit integer, lease interval)
returns table (tenant_id text, source text, ticket_id text, added timestamptz)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with next as (
        select b.tenant_id, b.source, b.ticket_id from history.embedding_backlog as b
        where b.taken_until < clock_timestamp()
        order by b.added desc
        limit row_limit
        for update skip locked
    )
    update history.embedding_backlog as b set taken_until = clock_timestamp() + lease
    from next
    where (b.tenant_id, b.source, b.ticket_id) = (next.tenant_id, next.source, next.ticket_id)
    returning b.tenant_id, b.source, b.ticket_id, b.added
$$;

-- What another model embedded, or none: for the first start with a model. Some at a time, in the order of the
-- key, from behind the one given; the last one's key comes back until there is none left.
create function history.queue_unembedded(
    wanted_model text, after_tenant text, after_source text, after_ticket text, row_limit integer
)
returns table (tenant_id text, source text, ticket_id text)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with looked_at as (
        select s.tenant_id, s.source, s.ticket_id from history.ticket_search as s
        where (s.tenant_id, s.source, s.ticket_id) > (after_tenant, after_source, after_ticket)
        order by s.tenant_id, s.source, s.ticket_id
        limit row_limit
    ), queued as (
        insert into history.embedding_backlog (tenant_id, source, ticket_id, added)
        select l.tenant_id, l.source, l.ticket_id, '-infinity' from looked_at as l
        where not exists (
            select from history.ticket_vectors as v
            where (v.tenant_id, v.source, v.ticket_id) = (l.tenant_id, l.source, l.ticket_id)
              and v.model = wanted_model
        )
        on conflict do nothing
    )
    select l.tenant_id, l.source, l.ticket_id from looked_at as l
    order by l.tenant_id desc, l.source desc, l.ticket_id desc
    limit 1
$$;

create function history.backlog_state(out waiting bigint, out oldest_seconds double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select count(*), coalesce(extract(epoch from clock_timestamp() - min(b.added)
        filter (where b.added > '-infinity')), 0)::double precision
    from history.embedding_backlog as b
$$;

revoke all on function history.take_backlog, history.queue_unembedded, history.backlog_state from public;
grant execute on function history.take_backlog, history.queue_unembedded, history.backlog_state
    to dossier_history;
grant create on schema history to dossier_history_search, dossier_history_backlog;
alter function history.find_nearest owner to dossier_history_search;
alter function history.take_backlog owner to dossier_history_backlog;
alter function history.queue_unembedded owner to dossier_history_backlog;
alter function history.backlog_state owner to dossier_history_backlog;
revoke create on schema history from dossier_history_search, dossier_history_backlog;

-- migrate:down
drop function history.find_nearest, history.take_backlog, history.queue_unembedded, history.backlog_state;
drop table history.ticket_vectors, history.embedding_backlog;
drop policy ticket_search_seen_by_backlog on history.ticket_search;
revoke select (tenant_id, source, ticket_id) on history.ticket_search from dossier_history_backlog;
revoke usage on schema history from dossier_history_backlog;
-- The role stays: it belongs to the server, where other databases may use it.
