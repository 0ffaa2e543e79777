-- migrate:up
-- Every index that all tenants share makes one of them walk past the rows of the others: of 100,000 tickets
-- beside a million, a search met ten times as many as it had candidates. So each word is looked up together with
-- its tenant, and who has many vectors has an index of its own over them.

create function history.words_of(tenant text, lexemes tsvector) returns bigint[]
language sql immutable strict parallel safe
as $$
    select array_agg(hashtextextended(lexeme collate "C", hashtextextended(tenant collate "C", 0)))
    from unnest(tsvector_to_array(lexemes)) as lexeme
$$;
revoke all on function history.words_of from public;
grant execute on function history.words_of to dossier_history, dossier_history_search;

create index ticket_search_by_word on history.ticket_search using gin (history.words_of(tenant_id, lexemes))
    -- What is not sorted in yet, every search reads through.
    with (gin_pending_list_limit = 1024);
drop index history.ticket_search_by_lexeme;
drop index history.ticket_vectors_by_signs;

drop function history.find_candidates;
-- Candidates have one of the seeds or, `together`, all of them. Of two words with one hash, the other's documents are
-- candidates, too; they score by their own words.
create function history.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, row_limit integer,
    together boolean
)
returns table (source text, ticket_id text, summed double precision)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
-- To start workers takes longer than the search.
set max_parallel_workers_per_gather = 0
as $$
declare
    tenant constant text := nullif(current_setting('dossier.tenant', true), '');
    wanted constant bigint[] := history.words_of(tenant, array_to_tsvector(seeds));
begin
    if tenant is null then
        raise exception 'dossier.tenant is not set' using errcode = 'insufficient_privilege';
    end if;
    return query
        select found.source, found.ticket_id,
               -(found.weights operator(public.<#>) question)::double precision as total
        from (
            select likely.source, likely.ticket_id, likely.weights from history.ticket_search as likely
            -- Not `tenant_id = tenant`: all the tenant's rows would be read from that index, to be met with the few.
            where likely.tenant_id || '' = tenant
              and likely.version = weights_version
              and case when together
                  then history.words_of(likely.tenant_id, likely.lexemes) @> wanted
                  else history.words_of(likely.tenant_id, likely.lexemes) && wanted end
            -- Of one everyday word's documents, as many as a search has time for.
            limit 6000
        ) as found
        order by total desc, found.source, found.ticket_id
        limit row_limit;
end $$;

revoke all on function history.find_candidates from public;
grant execute on function history.find_candidates to dossier_history;
grant create on schema history to dossier_history_search;
alter function history.find_candidates owner to dossier_history_search;
revoke create on schema history from dossier_history_search;

-- So few are looked up by their keys; for the thousand that is assumed otherwise, whole tables are read.
alter function history.find_nearest rows 100;
alter function history.find_nearest set max_parallel_workers_per_gather = 0;

-- Which tenants are large, for whoever makes their indexes: the owner of the tables.
create index lexeme_counts_of_all on history.lexeme_counts (tenant_id) where lexeme = '';
create policy lexeme_counts_seen_by_owner on history.lexeme_counts for select to current_user
    using (lexeme = '');

-- Makes the index of one tenant that has more than `few` tickets, or drops that of one that has not half as many any
-- more; says which, or null. While it is made, vectors can be read, and not written.
create function history.tend_vector_indexes(few bigint) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
-- Whoever writes would wait behind it.
set lock_timeout = '1s'
-- A graph that does not fit is built many times slower.
set maintenance_work_mem = '1GB'
-- Containers have little shared memory.
set max_parallel_maintenance_workers = 0
as $$
declare
    prefix constant text := 'ticket_vectors_of_';
    large text;
    idle text;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('history.tend_vector_indexes', 0)) then
        return null;
    end if;
    select known.tenant_id into large from history.lexeme_counts as known
    where known.lexeme = '' and known.tickets > few
      and to_regclass('history.' || prefix || md5(known.tenant_id)) is null
    limit 1;
    if large is not null then
        execute format(
            'create index %I on history.ticket_vectors'
            ' using hnsw ((public.binary_quantize(vector)::bit(384)) public.bit_hamming_ops)'
            ' where tenant_id = %L',
            prefix || md5(large), large
        );
        return prefix || md5(large);
    end if;
    select named.relname into idle
    from pg_index as made
    join pg_class as named on named.oid = made.indexrelid
    where made.indrelid = 'history.ticket_vectors'::regclass
      and starts_with(named.relname, prefix)
      and not exists (
          select from history.lexeme_counts as known
          where known.lexeme = '' and 2 * known.tickets > few
            and named.relname = prefix || md5(known.tenant_id)
      )
    limit 1;
    if idle is not null then
        execute format('drop index history.%I', idle);
    end if;
    return idle;
exception when lock_not_available then
    return null;
end $$;
revoke all on function history.tend_vector_indexes from public;
grant execute on function history.tend_vector_indexes to dossier_history;
-- Those who are large already: while this is applied, nobody waits for what they write.
do $$
begin
    while history.tend_vector_indexes(5000) is not null loop
    end loop;
end $$;

-- migrate:down
drop function history.tend_vector_indexes;
do $$
declare
    made text;
begin
    for made in
        select indexrelid::regclass::text from pg_index
        where indrelid = 'history.ticket_vectors'::regclass and not indisprimary
    loop
        execute 'drop index ' || made;
    end loop;
end $$;
drop policy lexeme_counts_seen_by_owner on history.lexeme_counts;
drop index history.lexeme_counts_of_all;
create index ticket_vectors_by_signs on history.ticket_vectors
    using hnsw ((public.binary_quantize(vector)::bit(384)) public.bit_hamming_ops);
create index ticket_search_by_lexeme on history.ticket_search using gin (lexemes);
drop index history.ticket_search_by_word;
alter function history.find_nearest rows 1000;
alter function history.find_nearest reset max_parallel_workers_per_gather;
drop function history.find_candidates;
create function history.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, row_limit integer
)
returns table (source text, ticket_id text, summed double precision)
language plpgsql stable security definer rows 1000
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
        select found.source, found.ticket_id,
               -(found.weights operator(public.<#>) question)::double precision as total
        from history.ticket_search as found
        where found.tenant_id = tenant
          and found.lexemes @@ any_seed
          and found.version = weights_version
        order by total desc, found.source, found.ticket_id
        limit row_limit;
end $$;
revoke all on function history.find_candidates from public;
grant execute on function history.find_candidates to dossier_history;
grant create on schema history to dossier_history_search;
alter function history.find_candidates owner to dossier_history_search;
revoke create on schema history from dossier_history_search;
drop function history.words_of;
