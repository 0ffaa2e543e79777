-- migrate:up
-- Answers that are being bought at this moment. A row is one replica's claim to buy, good until its lease ends:
-- its buyer renews it while the call is under way, so that a buyer who was killed holds up nobody for long.
-- What a tenant's budget sets aside for the call belongs into this row: it is made in the transaction that
-- decides to buy, and goes in the one that records what the call really cost.
create table synthesis.purchases (
    tenant_id text not null,
    request_id text not null,
    purchase_id uuid not null,
    content_hash bytea not null,
    lease_end timestamptz not null,
    primary key (tenant_id, request_id)
);

-- What the models were told: each wording once, for the calls that name it.
create table synthesis.prompts (
    tenant_id text not null,
    prompt_version text not null,
    instructions text not null,
    primary key (tenant_id, prompt_version)
);

-- Calls that were paid for although another answer to the same request had been recorded first: a buyer lost
-- its claim and finished all the same. Their answers are not kept; usage counts them.
create table synthesis.surplus_calls (
    tenant_id text not null,
    purchase_id uuid not null,
    request_id text not null,
    model text not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    cost numeric(18, 6) not null,
    estimated boolean not null,
    create_time timestamptz not null default now(),
    primary key (tenant_id, purchase_id)
);

create index surplus_calls_by_time on synthesis.surplus_calls (tenant_id, create_time);

alter table synthesis.calls
    -- Tells a buyer who tries again that the record is its own.
    add column purchase_id uuid,
    add column release text not null default '';

alter table synthesis.purchases enable row level security;
alter table synthesis.purchases force row level security;
create policy purchases_of_tenant on synthesis.purchases to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table synthesis.prompts enable row level security;
alter table synthesis.prompts force row level security;
create policy prompts_of_tenant on synthesis.prompts to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table synthesis.surplus_calls enable row level security;
alter table synthesis.surplus_calls force row level security;
create policy surplus_calls_of_tenant on synthesis.surplus_calls to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update, delete on synthesis.purchases to dossier_synthesis;
grant select, insert on synthesis.prompts, synthesis.surplus_calls to dossier_synthesis;

-- The functions run as the caller, whom row-level security binds: each is one round trip.

create function synthesis.find_call(for_tenant text, for_request text) returns table (
    content_hash bytea,
    model text,
    prompt_version text,
    instructions text,
    release text,
    answer text,
    finish text,
    prompt_tokens bigint,
    completion_tokens bigint,
    cost numeric,
    estimated boolean
)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    select c.content_hash, c.model, c.prompt_version, coalesce(p.instructions, ''), c.release, c.answer, c.finish,
           c.prompt_tokens, c.completion_tokens, c.cost, c.estimated
    from synthesis.calls c
    left join synthesis.prompts p on p.tenant_id = c.tenant_id and p.prompt_version = c.prompt_version
    where c.tenant_id = for_tenant and c.request_id = for_request;
end
$$;

-- Answers `recorded` with the call, `held` with the content that somebody else is buying an answer to, or
-- `claimed`: then the caller buys. No row: somebody's purchase has ended this moment, ask again.
create function synthesis.claim_purchase(
    for_tenant text,
    for_request text,
    as_purchase uuid,
    with_content bytea,
    lease interval
) returns table (
    outcome text,
    content_hash bytea,
    model text,
    prompt_version text,
    instructions text,
    release text,
    answer text,
    finish text,
    prompt_tokens bigint,
    completion_tokens bigint,
    cost numeric,
    estimated boolean
)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query select 'recorded', f.* from synthesis.find_call(for_tenant, for_request) f;
    if found then
        return;
    end if;

    -- A claim does not wait for the disk: one that a crash of the server takes is put back when it is renewed.
    perform set_config('synchronous_commit', 'off', true);
    insert into synthesis.purchases (tenant_id, request_id, purchase_id, content_hash, lease_end)
    values (for_tenant, for_request, as_purchase, with_content, clock_timestamp() + lease)
    on conflict do nothing;
    if not found then
        update synthesis.purchases
        set purchase_id = as_purchase, content_hash = with_content, lease_end = clock_timestamp() + lease
        where tenant_id = for_tenant and request_id = for_request and lease_end <= clock_timestamp();
        if not found then
            return query
            select 'held', p.content_hash, null, null, null, null, null, null,
                   null::bigint, null::bigint, null::numeric, null::boolean
            from synthesis.purchases p
            where p.tenant_id = for_tenant and p.request_id = for_request;
            return;
        end if;
    end if;

    -- A statement of its own: it sees the record in exchange for which another's claim went away meanwhile.
    return query select 'recorded', f.* from synthesis.find_call(for_tenant, for_request) f;
    if found then
        delete from synthesis.purchases
        where tenant_id = for_tenant and request_id = for_request and purchase_id = as_purchase;
        return;
    end if;
    outcome := 'claimed';
    return next;
end
$$;

-- Puts the end of the lease off. A claim that was lost is made again; one that was taken over stays taken.
create function synthesis.renew_purchase(
    for_tenant text,
    for_request text,
    as_purchase uuid,
    with_content bytea,
    lease interval
) returns void
language plpgsql
as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    insert into synthesis.purchases as p (tenant_id, request_id, purchase_id, content_hash, lease_end)
    values (for_tenant, for_request, as_purchase, with_content, clock_timestamp() + lease)
    on conflict (tenant_id, request_id) do update set lease_end = excluded.lease_end
    where p.purchase_id = excluded.purchase_id;
end
$$;

-- Records what was bought and gives up the claim. Answers nothing, or, where another's answer was recorded
-- first, that one: it stays, and what was paid for this one is counted.
create function synthesis.record_purchase(
    for_tenant text,
    for_request text,
    as_purchase uuid,
    with_content bytea,
    of_model text,
    of_prompt_version text,
    with_instructions text,
    by_release text,
    with_answer text,
    that_finished text,
    read_tokens bigint,
    written_tokens bigint,
    at_cost numeric,
    is_estimated boolean
) returns table (
    content_hash bytea,
    model text,
    prompt_version text,
    instructions text,
    release text,
    answer text,
    finish text,
    prompt_tokens bigint,
    completion_tokens bigint,
    cost numeric,
    estimated boolean
)
language plpgsql
as $$
#variable_conflict use_column
begin
    insert into synthesis.prompts (tenant_id, prompt_version, instructions)
    values (for_tenant, of_prompt_version, with_instructions)
    on conflict do nothing;
    insert into synthesis.calls (
        tenant_id, request_id, content_hash, model, prompt_version, answer, finish,
        prompt_tokens, completion_tokens, cost, estimated, purchase_id, release
    )
    values (
        for_tenant, for_request, with_content, of_model, of_prompt_version, with_answer, that_finished,
        read_tokens, written_tokens, at_cost, is_estimated, as_purchase, by_release
    )
    on conflict do nothing;
    if not found and exists (
        select from synthesis.calls
        where tenant_id = for_tenant and request_id = for_request and purchase_id is distinct from as_purchase
    ) then
        insert into synthesis.surplus_calls (
            tenant_id, purchase_id, request_id, model, prompt_tokens, completion_tokens, cost, estimated
        )
        values (
            for_tenant, as_purchase, for_request, of_model, read_tokens, written_tokens, at_cost, is_estimated
        )
        on conflict do nothing;
        return query select f.* from synthesis.find_call(for_tenant, for_request) f;
    end if;
    delete from synthesis.purchases
    where tenant_id = for_tenant and request_id = for_request and purchase_id = as_purchase;
end
$$;

revoke all on function synthesis.find_call, synthesis.claim_purchase, synthesis.renew_purchase,
    synthesis.record_purchase from public;
grant execute on function synthesis.find_call, synthesis.claim_purchase, synthesis.renew_purchase,
    synthesis.record_purchase to dossier_synthesis;

-- migrate:down
drop function synthesis.record_purchase, synthesis.renew_purchase, synthesis.claim_purchase, synthesis.find_call;
alter table synthesis.calls drop column release, drop column purchase_id;
drop table synthesis.surplus_calls, synthesis.prompts, synthesis.purchases;
