-- migrate:up
-- The ledger: every finished call to a language model, so that none is bought twice.
create table synthesis.calls (
    tenant_id text not null,
    request_id text not null,
    content_hash bytea not null,
    model text not null,
    prompt_version text not null,
    answer text not null,
    finish text not null check (finish in ('complete', 'cut_off', 'declined')),
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    cost numeric(18, 6) not null,
    estimated boolean not null,
    create_time timestamptz not null default now(),
    primary key (tenant_id, request_id)
);

create index calls_by_time on synthesis.calls (tenant_id, create_time);

alter table synthesis.calls enable row level security;
alter table synthesis.calls force row level security;
create policy calls_of_tenant on synthesis.calls to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert on synthesis.calls to dossier_synthesis;

-- migrate:down
drop table synthesis.calls;
