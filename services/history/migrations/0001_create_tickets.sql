-- migrate:up
create extension if not exists vector schema public;

-- Owns the function that searches and can do nothing else.
do $$
begin
    create role dossier_history_search nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_history_search to current_user;
    end if;
end $$;
grant usage on schema history to dossier_history_search;

create table history.tickets (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    ticket_id text collate "C" not null,
    title text not null,
    description text not null,
    resolution text not null,
    has_resolution boolean not null,
    status text not null,
    category text not null,
    tags text[] not null,
    assets text[] not null,
    url text not null,
    created timestamptz,
    resolved timestamptz,
    primary key (tenant_id, source, ticket_id)
);
create index tickets_by_id on history.tickets (tenant_id, ticket_id);
create index tickets_by_creation on history.tickets
    (tenant_id, (coalesce(created, '-infinity'::timestamptz)), source, ticket_id);

-- What tickets are found by, apart from what is read: searching touches narrow rows only.
create table history.ticket_search (
    tenant_id text not null default current_setting('dossier.tenant'),
    source text collate "C" not null,
    ticket_id text collate "C" not null,
    version smallint not null,
    lexemes tsvector not null,
    weights public.sparsevec not null,
    primary key (tenant_id, source, ticket_id)
);
create index ticket_search_by_lexeme on history.ticket_search using gin (lexemes);

-- In how many of a tenant's searchable tickets a lexeme is. The empty lexeme is in every one.
create table history.lexeme_counts (
    tenant_id text not null,
    lexeme text collate "C" not null,
    tickets bigint not null,
    primary key (tenant_id, lexeme)
);

alter table history.tickets enable row level security;
alter table history.tickets force row level security;
create policy tickets_of_tenant on history.tickets to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table history.ticket_search enable row level security;
alter table history.ticket_search force row level security;
create policy ticket_search_of_tenant on history.ticket_search to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
create policy ticket_search_by_function on history.ticket_search for select to dossier_history_search
    using (true);

alter table history.lexeme_counts enable row level security;
alter table history.lexeme_counts force row level security;
create policy lexeme_counts_of_tenant on history.lexeme_counts to dossier_history
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update, delete on history.tickets, history.ticket_search, history.lexeme_counts
    to dossier_history;
grant select on history.ticket_search to dossier_history_search;

create function history.count_added() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    insert into history.lexeme_counts as known (tenant_id, lexeme, tickets)
    select tenant_id, lexeme, count(*)
    from added, unnest(array_append(tsvector_to_array(added.lexemes), '')) as lexeme
    group by tenant_id, lexeme
    on conflict (tenant_id, lexeme) do update set tickets = known.tickets + excluded.tickets;
    return null;
end $$;

create function history.count_removed() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    update history.lexeme_counts as known set tickets = known.tickets - gone.tickets
    from (
        select tenant_id, lexeme, count(*) as tickets
        from removed, unnest(array_append(tsvector_to_array(removed.lexemes), '')) as lexeme
        group by tenant_id, lexeme
    ) as gone
    where known.tenant_id = gone.tenant_id and known.lexeme = gone.lexeme;
    return null;
end $$;

create trigger count_added after insert on history.ticket_search
    referencing new table as added for each statement execute function history.count_added();
create trigger count_removed after delete on history.ticket_search
    referencing old table as removed for each statement execute function history.count_removed();

-- Under row-level security the index on lexemes cannot serve, because `@@` is not leakproof: a row would be
-- compared before it is known to be the tenant's. This function stands in: it runs as a role whose policy hides
-- nothing, and confines itself to the caller's tenant. A generic plan would not know how rare the seeds are.
create function history.find_candidates(
    seeds text[], question public.sparsevec, weights_version smallint, row_limit integer
)
returns table (source text, ticket_id text, summed double precision)
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

-- migrate:down
drop function history.find_candidates;
drop table history.ticket_search, history.tickets, history.lexeme_counts;
drop function history.count_added, history.count_removed;
revoke usage on schema history from dossier_history_search;
-- The role stays: it belongs to the server, where other databases may use it. So does the extension.
