-- migrate:up
create extension if not exists vector schema public;

-- Owns the function that searches and can do nothing else.
do $$
begin
    create role dossier_knowledge_search nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_knowledge_search to current_user;
    end if;
end $$;
grant usage on schema knowledge to dossier_knowledge_search;

create table knowledge.articles (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    title text not null,
    -- Folded and cut by the service: an index on lower(title) would not be used under row-level security,
    -- because lower() is not leakproof, and a whole title may be too long for an index.
    title_key text collate "C" not null,
    body text not null,
    url text not null,
    tags text[] not null,
    updated timestamptz,
    primary key (tenant_id, source, article_id)
);
create index articles_by_id on knowledge.articles (tenant_id, article_id);
create index articles_by_title on knowledge.articles (tenant_id, title_key, source, article_id);

create table knowledge.passages (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    position integer not null,
    headings text[] not null,
    anchor text not null,
    body text not null,
    primary key (tenant_id, source, article_id, position)
);

-- What articles are found by, apart from what is read: searching touches narrow rows only.
create table knowledge.article_search (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    version smallint not null,
    lexemes tsvector not null,
    weights public.sparsevec not null,
    primary key (tenant_id, source, article_id)
);
create index article_search_by_lexeme on knowledge.article_search using gin (lexemes);

-- What tells the passages of a found article apart.
create table knowledge.passage_search (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    article_id text collate "C" not null,
    position integer not null,
    weights public.sparsevec not null,
    primary key (tenant_id, source, article_id, position)
);

-- In how many of a tenant's articles a lexeme is. The empty lexeme is in every one.
create table knowledge.lexeme_counts (
    tenant_id text not null,
    lexeme text collate "C" not null,
    articles bigint not null,
    primary key (tenant_id, lexeme)
);

alter table knowledge.articles enable row level security;
alter table knowledge.articles force row level security;
create policy articles_of_tenant on knowledge.articles to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table knowledge.passages enable row level security;
alter table knowledge.passages force row level security;
create policy passages_of_tenant on knowledge.passages to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table knowledge.article_search enable row level security;
alter table knowledge.article_search force row level security;
create policy article_search_of_tenant on knowledge.article_search to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy article_search_by_function on knowledge.article_search for select to dossier_knowledge_search
    using (true);

alter table knowledge.passage_search enable row level security;
alter table knowledge.passage_search force row level security;
create policy passage_search_of_tenant on knowledge.passage_search to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy passage_search_by_function on knowledge.passage_search for select to dossier_knowledge_search
    using (true);

alter table knowledge.lexeme_counts enable row level security;
alter table knowledge.lexeme_counts force row level security;
create policy lexeme_counts_of_tenant on knowledge.lexeme_counts to dossier_knowledge
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update, delete on knowledge.articles, knowledge.passages, knowledge.article_search,
    knowledge.passage_search, knowledge.lexeme_counts to dossier_knowledge;
grant select on knowledge.article_search, knowledge.passage_search to dossier_knowledge_search;

create function knowledge.count_added() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    insert into knowledge.lexeme_counts as known (tenant_id, lexeme, articles)
    select tenant_id, lexeme, count(*)
    from added, unnest(array_append(tsvector_to_array(added.lexemes), '')) as lexeme
    group by tenant_id, lexeme
    on conflict (tenant_id, lexeme) do update set articles = known.articles + excluded.articles;
    return null;
end $$;

create function knowledge.count_removed() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    update knowledge.lexeme_counts as known set articles = known.articles - gone.articles
    from (
        select tenant_id, lexeme, count(*) as articles
        from removed, unnest(array_append(tsvector_to_array(removed.lexemes), '')) as lexeme
        group by tenant_id, lexeme
    ) as gone
    where known.tenant_id = gone.tenant_id and known.lexeme = gone.lexeme;
    return null;
end $$;

create trigger count_added after insert on knowledge.article_search
    referencing new table as added for each statement execute function knowledge.count_added();
create trigger count_removed after delete on knowledge.article_search
    referencing old table as removed for each statement execute function knowledge.count_removed();

-- Under row-level security the index on lexemes cannot serve, because `@@` is not leakproof: a row would be
-- compared before it is known to be the tenant's. This function stands in: it runs as a role whose policy hides
-- nothing, and confines itself to the caller's tenant. A generic plan would not know how rare the seeds are.
create function knowledge.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, article_share double precision,
    row_limit integer
)
returns table (source text, article_id text, "position" integer, summed double precision)
language plpgsql stable security definer
set search_path = pg_catalog
set plan_cache_mode = force_custom_plan
as $$
declare
    tenant constant text := nullif(current_setting('dossier.tenant', true), '');
    any_seed constant tsquery := (
        select string_agg('''' || replace(replace(seed, '\', '\\'), '''', '''''') || '''', ' | ')
        from unnest(seeds) as seed
    )::tsquery;
begin
    if tenant is null then
        raise exception 'dossier.tenant is not set' using errcode = 'insufficient_privilege';
    end if;
    return query
        with likely as materialized (
            select found.source, found.article_id,
                   -(found.weights operator(public.<#>) question)::double precision as total
            from knowledge.article_search as found
            where found.tenant_id = tenant
              and found.lexemes @@ any_seed
              and found.version = weights_version
            order by total desc, found.source, found.article_id
            limit 2 * row_limit
        ),
        best as (
            select distinct on (likely.source, likely.article_id)
                   likely.source, likely.article_id, part.position,
                   article_share * likely.total
                       - (1 - article_share) * (part.weights operator(public.<#>) question)::double precision
                       as total
            from likely
            join knowledge.passage_search as part
                on part.tenant_id = tenant
                and part.source = likely.source
                and part.article_id = likely.article_id
            order by likely.source, likely.article_id, total desc, part.position
        )
        select best.source, best.article_id, best.position, best.total
        from best
        order by best.total desc, best.source, best.article_id
        limit row_limit;
end $$;

revoke all on function knowledge.find_candidates from public;
grant execute on function knowledge.find_candidates to dossier_knowledge;
grant create on schema knowledge to dossier_knowledge_search;
alter function knowledge.find_candidates owner to dossier_knowledge_search;
revoke create on schema knowledge from dossier_knowledge_search;

-- migrate:down
drop function knowledge.find_candidates;
drop table knowledge.passage_search, knowledge.article_search, knowledge.passages, knowledge.articles,
    knowledge.lexeme_counts;
drop function knowledge.count_added, knowledge.count_removed;
revoke usage on schema knowledge from dossier_knowledge_search;
-- The role stays: it belongs to the server, where other databases may use it. So does the extension.
