-- migrate:up
-- In an index that all tenants share, one of them walks past the rows of the others: so each word is looked up
-- together with its tenant.

create function knowledge.words_of(tenant text, lexemes tsvector) returns bigint[]
language sql immutable strict parallel safe
as $$
    select array_agg(hashtextextended(lexeme collate "C", hashtextextended(tenant collate "C", 0)))
    from unnest(tsvector_to_array(lexemes)) as lexeme
$$;
revoke all on function knowledge.words_of from public;
grant execute on function knowledge.words_of to dossier_knowledge, dossier_knowledge_search;

create index article_search_by_word on knowledge.article_search
    using gin (knowledge.words_of(tenant_id, lexemes))
    -- What is not sorted in yet, every search reads through.
    with (gin_pending_list_limit = 1024);
drop index knowledge.article_search_by_lexeme;

drop function knowledge.find_candidates;
-- Candidates have one of the seeds or, `together`, all of them. Of two words with one hash, the other's documents are
-- candidates, too; they score by their own words.
create function knowledge.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, article_share double precision,
    row_limit integer, together boolean
)
returns table (source text, article_id text, "position" integer, summed double precision)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
-- To start workers takes longer than the search.
set max_parallel_workers_per_gather = 0
as $$
declare
    tenant constant text := nullif(current_setting('dossier.tenant', true), '');
    wanted constant bigint[] := knowledge.words_of(tenant, array_to_tsvector(seeds));
begin
    if tenant is null then
        raise exception 'dossier.tenant is not set' using errcode = 'insufficient_privilege';
    end if;
    return query
        with likely as materialized (
            select found.source, found.article_id,
                   -(found.weights operator(public.<#>) question)::double precision as total
            from (
                select each.source, each.article_id, each.weights from knowledge.article_search as each
                -- Not `tenant_id = tenant`: all the tenant's rows would be read from that index, to be met with the few.
                where each.tenant_id || '' = tenant
                  and each.version = weights_version
                  and case when together
                      then knowledge.words_of(each.tenant_id, each.lexemes) @> wanted
                      else knowledge.words_of(each.tenant_id, each.lexemes) && wanted end
                -- Of one everyday word's documents, as many as a search has time for.
                limit 6000
            ) as found
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

alter function knowledge.find_nearest set max_parallel_workers_per_gather = 0;

-- migrate:down
create index article_search_by_lexeme on knowledge.article_search using gin (lexemes);
drop index knowledge.article_search_by_word;
alter function knowledge.find_nearest reset max_parallel_workers_per_gather;
drop function knowledge.find_candidates;
create function knowledge.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, article_share double precision,
    row_limit integer
)
returns table (source text, article_id text, "position" integer, summed double precision)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp
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
drop function knowledge.words_of;
