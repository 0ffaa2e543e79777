-- migrate:up
-- A thumb on a citation may be taken back.
alter table orchestrator.feedback add column withdrawn boolean not null default false;

-- What each person now thinks of each citation of a ticket or an article, and how much of it history or knowledge
-- has: a rating waits to be handed over while its revision is above that.
create table orchestrator.ratings (
    id text primary key,
    tenant_id text not null default current_setting('dossier.tenant'),
    enhancement_id text not null references orchestrator.enhancements on delete cascade,
    evidence_id text not null,
    voice text not null,
    kind text not null check (kind in ('ticket', 'article')),
    document_source text not null,
    document_id text not null,
    helpful boolean,
    revision bigint not null default 1,
    handed_over bigint not null default 0,
    create_time timestamptz not null default now(),
    unique (enhancement_id, evidence_id, voice)
);
create index ratings_waiting on orchestrator.ratings (tenant_id, create_time) where handed_over < revision;
alter table orchestrator.ratings enable row level security;
alter table orchestrator.ratings force row level security;
create policy ratings_of_tenant on orchestrator.ratings to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert, update, delete on orchestrator.ratings to dossier_orchestrator;

-- Whose ratings wait, and nothing of what they say: they are read in transactions of one tenant.
do $$
begin
    create role dossier_orchestrator_ratings nologin nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then
    null; -- Roles belong to the whole server: another database's migration was faster.
end $$;
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant dossier_orchestrator_ratings to current_user;
    end if;
end $$;
grant usage, create on schema orchestrator to dossier_orchestrator_ratings;
grant select (tenant_id, create_time, revision, handed_over) on orchestrator.ratings
    to dossier_orchestrator_ratings;
create policy ratings_of_backlog on orchestrator.ratings for select to dossier_orchestrator_ratings using (true);

create function orchestrator.ratings_backlog() returns table (tenant_id text, ratings bigint)
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as $$
        select r.tenant_id, count(*) from orchestrator.ratings r
        where r.handed_over < r.revision group by r.tenant_id order by min(r.create_time)
    $$;
alter function orchestrator.ratings_backlog owner to dossier_orchestrator_ratings;
revoke execute on function orchestrator.ratings_backlog from public;
grant execute on function orchestrator.ratings_backlog to dossier_orchestrator;
revoke create on schema orchestrator from dossier_orchestrator_ratings;

-- migrate:down
-- Ratings that wait are lost: let them be handed over before.
drop function orchestrator.ratings_backlog;
drop table orchestrator.ratings;
alter table orchestrator.feedback drop column withdrawn;
revoke usage on schema orchestrator from dossier_orchestrator_ratings;
