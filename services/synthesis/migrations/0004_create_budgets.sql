-- migrate:up
-- What a client has spent on language models in a calendar month and on a day, UTC. Whoever reserves locks both
-- rows, so that spent and reserved together never pass the limit, however many replicas are at it.
create table synthesis.budget_periods (
    tenant_id text not null,
    period text not null check (period in ('month', 'day')),
    start_date date not null,
    spent numeric(18, 6) not null default 0 check (spent >= 0),
    -- What the last call was held to; null is no limit. `warned_percent` of it have been warned of.
    spending_limit numeric(18, 6) check (spending_limit >= 0),
    warned_percent smallint not null default 0,
    primary key (tenant_id, period, start_date)
);

-- The most that a call may cost, set aside before it is made. It stays until it is known what the call cost: also
-- when its buyer was killed, or its answer was lost, since the provider may charge for it all the same.
create table synthesis.reservations (
    tenant_id text not null,
    purchase_id uuid not null,
    request_id text not null,
    amount numeric(18, 6) not null check (amount > 0),
    reserve_time timestamptz not null,
    primary key (tenant_id, purchase_id)
);

create index reservations_by_time on synthesis.reservations (tenant_id, reserve_time);

-- An owner who is no superuser is under the ledger's policies, too.
alter table synthesis.calls no force row level security;
alter table synthesis.surplus_calls no force row level security;
insert into synthesis.budget_periods (tenant_id, period, start_date, spent)
select tenant_id, period, date_trunc(period, create_time at time zone 'UTC')::date, sum(cost)
from (
    select tenant_id, cost, create_time from synthesis.calls
    union all
    select tenant_id, cost, create_time from synthesis.surplus_calls
) paid, (values ('month'), ('day')) periods (period)
group by 1, 2, 3;
alter table synthesis.calls force row level security;
alter table synthesis.surplus_calls force row level security;

alter table synthesis.budget_periods enable row level security;
alter table synthesis.budget_periods force row level security;
create policy budget_periods_of_tenant on synthesis.budget_periods to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

alter table synthesis.reservations enable row level security;
alter table synthesis.reservations force row level security;
create policy reservations_of_tenant on synthesis.reservations to dossier_synthesis
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));

grant select, insert, update, delete on synthesis.budget_periods to dossier_synthesis;
grant select, insert, delete on synthesis.reservations to dossier_synthesis;

-- As the purchase's functions, these run as the caller, whom row-level security binds.

create function synthesis.budget_time(start_date date) returns timestamptz
language sql immutable
as $$
    select start_date::timestamp at time zone 'UTC'
$$;

-- The months and days, in the order in which they are locked, that a moment lies in.
create function synthesis.budget_periods_at(moment timestamptz) returns table (
    place int,
    period text,
    start_date date,
    end_date date
)
language sql immutable
as $$
    select p.place, p.period, p.start::date, (p.start + p.length)::date
    from (
        select 1, 'month', date_trunc('month', moment at time zone 'UTC'), interval '1 month'
        union all
        select 2, 'day', date_trunc('day', moment at time zone 'UTC'), interval '1 day'
    ) p (place, period, start, length)
    order by p.place
$$;

-- How far the budgets of the month and the day are used up. What is `reserved` is under way; of what is `unconfirmed`
-- the buyer is gone, or has lost the answer.
create function synthesis.find_budget(for_tenant text, moment timestamptz) returns table (
    place int,
    period text,
    start_date date,
    end_date date,
    spent numeric,
    reserved numeric,
    unconfirmed numeric,
    spending_limit numeric,
    warned_percent smallint
)
language plpgsql
as $$
#variable_conflict use_column
begin
    return query
    select p.place, p.period, p.start_date, p.end_date, coalesce(b.spent, 0),
           coalesce(sum(r.amount) filter (where u.purchase_id is not null), 0),
           coalesce(sum(r.amount) filter (where u.purchase_id is null), 0),
           b.spending_limit, b.warned_percent
    from synthesis.budget_periods_at(moment) p
    left join synthesis.budget_periods b
        on b.tenant_id = for_tenant and b.period = p.period and b.start_date = p.start_date
    left join synthesis.reservations r
        on r.tenant_id = for_tenant
        and r.reserve_time >= synthesis.budget_time(p.start_date)
        and r.reserve_time < synthesis.budget_time(p.end_date)
    left join synthesis.purchases u
        on u.tenant_id = for_tenant and u.request_id = r.request_id and u.purchase_id = r.purchase_id
        and u.lease_end > clock_timestamp()
    group by p.place, p.period, p.start_date, p.end_date, b.spent, b.spending_limit, b.warned_percent
    order by p.place;
end
$$;

-- Sets aside what a claimed call may cost, in the transaction of the claim. Answers a row `refused` with the limit
-- that stands against it, and then the claim is gone again; and one for each period whose limit is used up so far
-- that it is to be warned of, once.
create function synthesis.reserve_purchase(
    for_tenant text,
    for_request text,
    as_purchase uuid,
    at_most numeric,
    for_month numeric,
    for_day numeric,
    for_brief numeric
) returns table (
    refused boolean,
    limited text,
    spending_limit numeric,
    end_date date,
    used_percent smallint
)
language plpgsql
as $$
#variable_conflict use_column
declare
    moment timestamptz := clock_timestamp();
    stopped record;
begin
    -- Unlike the claim alone, this waits for the disk: what a crash took would be reserved for another call.
    perform set_config('synchronous_commit', 'on', true);
    insert into synthesis.budget_periods as b (tenant_id, period, start_date, spending_limit)
    select for_tenant, p.period, p.start_date, case p.period when 'month' then for_month else for_day end
    from synthesis.budget_periods_at(moment) p
    order by p.place
    on conflict (tenant_id, period, start_date) do update
    set spending_limit = excluded.spending_limit,
        warned_percent = case
            when b.spending_limit is distinct from excluded.spending_limit then 0 else b.warned_percent
        end;

    -- A statement of its own: it sees what was reserved while the one before waited for the locks.
    select l.limited, l.spending_limit, l.end_date into stopped
    from (
        select f.place, f.period, f.spending_limit, f.spent + f.reserved + f.unconfirmed, f.end_date
        from synthesis.find_budget(for_tenant, moment) f
        union all
        select 3, 'brief', for_brief, coalesce(sum(r.amount), 0), null
        from synthesis.reservations r
        where r.tenant_id = for_tenant and r.request_id = for_request
    ) l (place, limited, spending_limit, used, end_date)
    where l.spending_limit = 0 or (at_most > 0 and l.used + at_most > l.spending_limit)
    -- A limit of 0 tells more than one that is used up.
    order by l.spending_limit = 0 desc, l.place
    limit 1;
    if found then
        delete from synthesis.purchases
        where tenant_id = for_tenant and request_id = for_request and purchase_id = as_purchase;
        return query select true, stopped.limited, stopped.spending_limit, stopped.end_date, null::smallint;
    elsif at_most > 0 then
        insert into synthesis.reservations (tenant_id, purchase_id, request_id, amount, reserve_time)
        values (for_tenant, as_purchase, for_request, at_most, moment);
    end if;

    return query
    update synthesis.budget_periods b
    set warned_percent = u.percent
    from (
        select f.period, f.start_date, f.end_date,
               (case
                   when f.period = stopped.limited then 100
                   when f.spent + f.reserved + f.unconfirmed >= 0.8 * f.spending_limit then 80
                   else 0
               end)::smallint
        from synthesis.find_budget(for_tenant, moment) f
        -- A client that is to have no language model is not warned of having none.
        where f.spending_limit > 0
    ) u (period, start_date, end_date, percent)
    where b.tenant_id = for_tenant and b.period = u.period and b.start_date = u.start_date
        and b.warned_percent < u.percent
    returning false, b.period, b.spending_limit, u.end_date, u.percent;
end
$$;

-- Books what a call cost, in the month and on the day in which it was reserved. Nothing happens the second time.
create function synthesis.settle_purchase(for_tenant text, as_purchase uuid, at_cost numeric) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    with gone as (
        delete from synthesis.reservations
        where tenant_id = for_tenant and purchase_id = as_purchase
        returning reserve_time
    )
    insert into synthesis.budget_periods as b (tenant_id, period, start_date, spent)
    select for_tenant, p.period, p.start_date, at_cost
    from gone, synthesis.budget_periods_at(gone.reserve_time) p
    order by p.place
    on conflict (tenant_id, period, start_date) do update set spent = b.spent + excluded.spent;
end
$$;

revoke all on function synthesis.budget_time, synthesis.budget_periods_at, synthesis.find_budget,
    synthesis.reserve_purchase, synthesis.settle_purchase from public;
grant execute on function synthesis.budget_time, synthesis.budget_periods_at, synthesis.find_budget,
    synthesis.reserve_purchase, synthesis.settle_purchase to dossier_synthesis;

-- migrate:down
drop function synthesis.settle_purchase, synthesis.reserve_purchase, synthesis.find_budget,
    synthesis.budget_periods_at, synthesis.budget_time;
drop table synthesis.reservations, synthesis.budget_periods;
