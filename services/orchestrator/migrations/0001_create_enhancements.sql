-- migrate:up
create table orchestrator.enhancements (
    id text primary key,
    tenant_id text not null,
    purpose text not null check (purpose in ('enhance', 'record')),
    tool text not null,
    ticket_id text not null,
    revision text,
    delivery_id text,
    request_id text,
    is_hint boolean not null,
    deliver boolean not null,
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    -- Grows with every change to the row or its steps: how a watcher notices.
    version bigint not null default 1,
    trace_context text not null,
    -- Messages of the contracts: Ticket, WriteBriefRequest, WriteBriefResponse, Usage, Note.
    ticket bytea not null,
    inputs bytea,
    answer bytea,
    usage bytea,
    note bytea,
    failure_step text,
    failure_reason text,
    failure_message text,
    create_time timestamptz not null default now(),
    start_time timestamptz,
    end_time timestamptz
);

-- A ticket's state is enhanced once, and a delivery and a request are answered with the same work each time.
create unique index enhancements_by_revision
    on orchestrator.enhancements (tenant_id, tool, ticket_id, purpose, revision) where revision is not null;
create unique index enhancements_by_delivery
    on orchestrator.enhancements (tenant_id, tool, delivery_id) where delivery_id is not null;
create unique index enhancements_by_request
    on orchestrator.enhancements (tenant_id, request_id) where request_id is not null;
-- Ids are ordered by time.
create index enhancements_latest on orchestrator.enhancements (tenant_id, id desc) where purpose = 'enhance';
create index enhancements_of_ticket
    on orchestrator.enhancements (tenant_id, ticket_id, id desc) where purpose = 'enhance';

create table orchestrator.steps (
    enhancement_id text not null references orchestrator.enhancements on delete cascade,
    name text not null,
    tenant_id text not null,
    ordinal bigint generated always as identity,
    state text not null check (state in ('running', 'succeeded', 'failed', 'skipped')),
    attempt integer not null,
    start_time timestamptz not null,
    duration_seconds double precision,
    detail text not null default '',
    -- SourceReport, for a context source.
    report bytea,
    primary key (enhancement_id, name)
);

create table orchestrator.feedback (
    id text primary key,
    tenant_id text not null,
    enhancement_id text not null references orchestrator.enhancements on delete cascade,
    request_id text,
    evidence_id text not null,
    helpful boolean,
    rating integer check (rating between 1 and 5),
    comment text not null,
    author text not null,
    create_time timestamptz not null default now()
);
create unique index feedback_by_request
    on orchestrator.feedback (tenant_id, request_id) where request_id is not null;
create index feedback_of_enhancement on orchestrator.feedback (enhancement_id);

alter table orchestrator.enhancements enable row level security;
alter table orchestrator.enhancements force row level security;
create policy enhancements_of_tenant on orchestrator.enhancements to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
alter table orchestrator.steps enable row level security;
alter table orchestrator.steps force row level security;
create policy steps_of_tenant on orchestrator.steps to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
alter table orchestrator.feedback enable row level security;
alter table orchestrator.feedback force row level security;
create policy feedback_of_tenant on orchestrator.feedback to dossier_orchestrator
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, update on orchestrator.enhancements to dossier_orchestrator;
grant select, insert, update on orchestrator.steps to dossier_orchestrator;
grant select, insert on orchestrator.feedback to dossier_orchestrator;

-- migrate:down
drop table orchestrator.feedback;
drop table orchestrator.steps;
drop table orchestrator.enhancements;
