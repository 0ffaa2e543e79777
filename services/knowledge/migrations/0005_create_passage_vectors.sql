-- migrate:up
-- Works off what waits to be embedded, for every tenant, and can do nothing else.
do $$
begin
    create role dossier_knowledge_backlog nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_knowledge_backlog to current_user;
    end if;
end $$;
grant usage on schema knowledge to dossier_knowledge_backlog;

-- What passages mean, apart from their words, and at position -1 what the article's title does. Vectors of two
-- models are never compared.
create table knowledge.passage_vectors (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    position integer not null,
    model text collate "C" not null,
    vector public.halfvec(384) not null,
    primary key (tenant_id, source, article_id, position)
);
-- Scoring must not fetch each vector from elsewhere.
alter table knowledge.passage_vectors alter column vector set storage plain;
-- The signs alone are a sixteenth of the vector; whoever comes out near by them is compared exactly.
create index passage_vectors_by_signs on knowledge.passage_vectors
    using hnsw ((public.binary_quantize(vector)::bit(384)) public.bit_hamming_ops);

-- What is to be embedded, and who is at it until when.
create table knowledge.embedding_backlog (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    position integer not null,
    added timestamptz not null default clock_timestamp(),
    taken_until timestamptz not null default '-infinity',
    primary key (tenant_id, source, article_id, position)
);
create index embedding_backlog_by_age on knowledge.embedding_backlog (added);

alter table knowledge.passage_vectors enable row level security;
alter table knowledge.passage_vectors force row level security;
create policy passage_vectors_of_tenant on knowledge.passage_vectors to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy passage_vectors_by_function on knowledge.passage_vectors for select to dossier_knowledge_search
    using (true);
create policy passage_vectors_seen_by_backlog on knowledge.passage_vectors
    for select to dossier_knowledge_backlog
    using (true);

alter table knowledge.embedding_backlog enable row level security;
alter table knowledge.embedding_backlog force row level security;
create policy embedding_backlog_of_tenant on knowledge.embedding_backlog to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy embedding_backlog_by_function on knowledge.embedding_backlog to dossier_knowledge_backlog
    using (true) with check (true);

create policy article_search_seen_by_backlog on knowledge.article_search
    for select to dossier_knowledge_backlog
    using (true);
create policy passage_search_seen_by_backlog on knowledge.passage_search
    for select to dossier_knowledge_backlog
    using (true);

grant select, insert, update, delete on knowledge.passage_vectors, knowledge.embedding_backlog
    to dossier_knowledge;
grant select on knowledge.passage_vectors to dossier_knowledge_search;
grant select (tenant_id, source, article_id, position, model) on knowledge.passage_vectors
    to dossier_knowledge_backlog;
grant select (tenant_id, source, article_id) on knowledge.article_search to dossier_knowledge_backlog;
grant select (tenant_id, source, article_id, position) on knowledge.passage_search
    to dossier_knowledge_backlog;
grant select, insert, update on knowledge.embedding_backlog to dossier_knowledge_backlog;

-- As find_candidates, by meaning: distance operators are not leakproof either. A tenant's own rows are compared
-- one by one while they are few; the index, which all tenants share, would mostly meet those of others. An article
-- is as near as the nearest of its passages and its title.
create function knowledge.find_nearest(
    question public.halfvec, wanted_model text, few integer, row_limit integer
)
returns table (source text, article_id text)
language plpgsql stable security definer rows 100
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
    if few >= (
        select count(*) from (
            select from knowledge.passage_vectors as own where own.tenant_id = tenant limit few + 1
        ) as counted
    ) then
        return query
            select near.source, near.article_id from knowledge.passage_vectors as near
            where near.tenant_id = tenant and near.model = wanted_model
            group by near.source, near.article_id
            order by min(near.vector operator(public.<=>) question), near.source, near.article_id
            limit row_limit;
        return;
    end if;
    return query
        select near.source, near.article_id from (
            select found.source, found.article_id, found.vector
            from knowledge.passage_vectors as found
            where found.tenant_id = tenant and found.model = wanted_model
            order by public.binary_quantize(found.vector)::bit(384) operator(public.<~>) signs
            limit 4 * row_limit
        ) as near
        group by near.source, near.article_id
        order by min(near.vector operator(public.<=>) question), near.source, near.article_id
        limit row_limit;
end $$;
-- So few are looked up by their keys; for the thousand that is assumed otherwise, whole tables are read.
alter function knowledge.find_candidates rows 100;
revoke all on function knowledge.find_nearest from public;
grant execute on function knowledge.find_nearest to dossier_knowledge;

-- The newest first: an article written just now is not behind a year's import. Nobody else gets them meanwhile.
create function knowledge.take_backlog(row_limit integer, lease interval)
returns table (tenant_id text, source text, article_id text, "position" integer, added timestamptz)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with next as (
        select b.tenant_id, b.source, b.article_id, b.position from knowledge.embedding_backlog as b
        where b.taken_until < clock_timestamp()
        order by b.added desc
        limit row_limit
        for update skip locked
    )
    update knowledge.embedding_backlog as b set taken_until = clock_timestamp() + lease
    from next
    where (b.tenant_id, b.source, b.article_id, b.position)
        = (next.tenant_id, next.source, next.article_id, next.position)
    returning b.tenant_id, b.source, b.article_id, b.position, b.added
$$;

-- What another model embedded, or none: for the first start with a model. Some articles at a time, in the order of
-- the key, from behind the one given; the last one's key comes back until there is none left.
create function knowledge.queue_unembedded(
    wanted_model text, after_tenant text, after_source text, after_article text, row_limit integer
)
returns table (tenant_id text, source text, article_id text)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with looked_at as (
        select s.tenant_id, s.source, s.article_id from knowledge.article_search as s
        where (s.tenant_id, s.source, s.article_id) > (after_tenant, after_source, after_article)
        order by s.tenant_id, s.source, s.article_id
        limit row_limit
    ), embeddable as (
        select l.tenant_id, l.source, l.article_id, -1 as position from looked_at as l
        union all
        select p.tenant_id, p.source, p.article_id, p.position
        from looked_at as l
        join knowledge.passage_search as p using (tenant_id, source, article_id)
    ), queued as (
        insert into knowledge.embedding_backlog (tenant_id, source, article_id, position, added)
        select e.tenant_id, e.source, e.article_id, e.position, '-infinity' from embeddable as e
        where not exists (
            select from knowledge.passage_vectors as v
            where (v.tenant_id, v.source, v.article_id, v.position)
                = (e.tenant_id, e.source, e.article_id, e.position)
              and v.model = wanted_model
        )
        on conflict do nothing
    )
    select l.tenant_id, l.source, l.article_id from looked_at as l
    order by l.tenant_id desc, l.source desc, l.article_id desc
    limit 1
$$;

create function knowledge.backlog_state(out waiting bigint, out oldest_seconds double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select count(*), coalesce(extract(epoch from clock_timestamp() - min(b.added)
        filter (where b.added > '-infinity')), 0)::double precision
    from knowledge.embedding_backlog as b
$$;

revoke all on function knowledge.take_backlog, knowledge.queue_unembedded, knowledge.backlog_state from public;
grant execute on function knowledge.take_backlog, knowledge.queue_unembedded, knowledge.backlog_state
    to dossier_knowledge;
grant create on schema knowledge to dossier_knowledge_search, dossier_knowledge_backlog;
alter function knowledge.find_nearest owner to dossier_knowledge_search;
alter function knowledge.take_backlog owner to dossier_knowledge_backlog;
alter function knowledge.queue_unembedded owner to dossier_knowledge_backlog;
alter function knowledge.backlog_state owner to dossier_knowledge_backlog;
revoke create on schema knowledge from dossier_knowledge_search, dossier_knowledge_backlog;

-- migrate:down
alter function knowledge.find_candidates rows 1000;
drop function knowledge.find_nearest, knowledge.take_backlog, knowledge.queue_unembedded,
    knowledge.backlog_state;
drop table knowledge.passage_vectors, knowledge.embedding_backlog;
drop policy article_search_seen_by_backlog on knowledge.article_search;
drop policy passage_search_seen_by_backlog on knowledge.passage_search;
revoke select (tenant_id, source, article_id) on knowledge.article_search from dossier_knowledge_backlog;
revoke select (tenant_id, source, article_id, position) on knowledge.passage_search
    from dossier_knowledge_backlog;
revoke usage on schema knowledge from dossier_knowledge_backlog;
-- The role stays: it belongs to the server, where other databases may use it.
