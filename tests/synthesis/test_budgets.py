"""A budget stops: what is spent and what may yet be paid for never pass it, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import grpc
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from cli.migrate.run import migrate, roll_back
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1.budget_pb2 import Budget, BudgetPeriodUsage
from services.runtime.database import Database
from services.synthesis.prices import Prices
from services.synthesis.tenant_data import tenant_rows
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.llm_endpoint import (
    Answer,
    Asked,
    Failure,
    LlmEndpoint,
    Lost,
    Malformed,
    Reply,
    Slow,
    running,
)
from tests.synthesis.client import FIX, GOOD, TUNNEL, Arrangement, Client, Gate, form
from tests.synthesis.processes import service_process

COST = 1_500
"""Of `GOOD`, in millionths of a dollar."""
# Nearly as much as it may be, so that what is given back makes room for none.
COSTLY = Answer(form(similar_tickets=[(FIX, [TUNNEL.id])]), prompt_tokens=3000, completion_tokens=1900)
COSTLY_COST = 3000 + 19_000
LAPSED = "update synthesis.purchases set lease_end = now() where tenant_id = $1"
MONTH_USED_UP = "this client's monthly budget for the language model is used up until "
A_MONTH_AGO = (
    "update synthesis.budget_periods set start_date = start_date - interval '1 month' where tenant_id = $1",
    "update synthesis.reservations set reserve_time = reserve_time - interval '1 month' where tenant_id = $1",
)


def within(month: int | None = None, *, day: int | None = None, brief: int | None = None) -> pb.BriefOptions:
    budget = Budget(month_micro_dollars=month, day_micro_dollars=day, brief_micro_dollars=brief)
    return pb.BriefOptions(budget=budget)


async def month_of(client: Client) -> BudgetPeriodUsage:
    return (await client.usage()).budget.month


def counted(month: BudgetPeriodUsage) -> tuple[int, int, int]:
    return (month.spent_micro_dollars, month.reserved_micro_dollars, month.unconfirmed_micro_dollars)


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"dossier_synthesis_{name}_total", labels) or 0


@pytest.fixture
async def most(arrangement: Arrangement) -> int:
    """What is set aside for the call that these tests make."""
    endpoint = LlmEndpoint()
    endpoint.reply(Lost(GOOD))
    async with arrangement.service(endpoint) as service:
        probe = service.tenant("probe")
        await probe.write()
        return (await month_of(probe)).unconfirmed_micro_dollars


class Watch:
    """Looks all the time at how much of the month's budget is spent or set aside."""

    def __init__(self) -> None:
        self.highest = Decimal(0)

    @asynccontextmanager
    async def on(self, arrangement: Arrangement, tenant: str) -> AsyncIterator[None]:
        async with arrangement.connection() as connection:

            async def look() -> None:
                while True:
                    used = await connection.fetchval(
                        """
                        select coalesce((
                            select spent from synthesis.budget_periods
                            where tenant_id = $1 and period = 'month'
                        ), 0) + coalesce((
                            select sum(amount) from synthesis.reservations where tenant_id = $1
                        ), 0)
                        """,
                        tenant,
                    )
                    self.highest = max(self.highest, used)

            looking = asyncio.create_task(look())
            try:
                yield
            finally:
                looking.cancel()
                await asyncio.wait({looking})


async def test_a_hundred_briefs_at_once_on_two_replicas_spend_no_more_than_there_is(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    budget = 7 * most
    endpoint.reply_by(Gate(seconds=0.3, then=COSTLY))
    watch = Watch()
    async with (
        arrangement.service(endpoint) as one,
        arrangement.service(endpoint) as other,
        watch.on(arrangement, arrangement.tenant("acme")),
    ):
        replicas = [one, other, one]
        responses = await asyncio.gather(
            *(
                # Every second one is asked for at both.
                replicas[(number + n) % 3].acme.write(
                    request_id=f"run-{number}", options=within(budget), seconds=60
                )
                for number in range(100)
                for n in range(1 + number % 2)
            )
        )
        month = await month_of(one.acme)
    assert endpoint.count() == 7
    assert counted(month) == (7 * COSTLY_COST, 0, 0)
    assert (month.limit_micro_dollars, month.left_micro_dollars) == (budget, budget - 7 * COSTLY_COST)
    assert 0 < watch.highest * 1_000_000 <= budget
    briefs = [each.brief for each in responses]
    refused = [each for each in briefs if each.fallback == brief_pb2.FALLBACK_BUDGET]
    assert len(refused) >= 93
    assert all(each.sections and each.fallback_reason.startswith(MONTH_USED_UP) for each in refused)
    others = [each.writer for each in briefs if each not in refused]
    assert set(others) == {brief_pb2.WRITER_LLM}
    assert len(others) >= 7


async def test_what_does_not_fit_is_not_asked_and_the_brief_says_until_when(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    before = metric("budget_refusals", limit="month")
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write(options=within(most - 1))
        month = await month_of(service.acme)
    until = month.end_time.ToDatetime(UTC)
    assert response.brief.writer == brief_pb2.WRITER_EXTRACTIVE
    assert response.brief.fallback == brief_pb2.FALLBACK_BUDGET
    assert response.brief.fallback_reason == f"{MONTH_USED_UP}{until:%Y-%m-%d} (UTC)"
    assert response.brief.sections
    assert response.usage == brief_pb2.Usage()
    assert counted(month) == (0, 0, 0)
    assert (endpoint.count(), await arrangement.purchases()) == (0, 0)
    assert metric("budget_refusals", limit="month") == before + 1


async def test_to_the_millionth_what_just_fits_is_bought(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write(options=within(most, day=most, brief=most))
        usage = (await service.acme.usage()).budget
    assert response.brief.writer == brief_pb2.WRITER_LLM
    assert response.brief.fallback == brief_pb2.FALLBACK_UNSPECIFIED
    for period in (usage.month, usage.day):
        assert counted(period) == (COST, 0, 0)
        assert (period.limit_micro_dollars, period.left_micro_dollars) == (most, most - COST)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("day", "this client's daily budget for the language model is used up until "),
        ("brief", "the language model might have cost more than one brief may for this client"),
    ],
)
async def test_a_day_and_a_brief_have_limits_of_their_own(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int, limit: str, reason: str
) -> None:
    options = within(month=100 * most)
    setattr(options.budget, f"{limit}_micro_dollars", most - 1)
    async with arrangement.service(endpoint) as service:
        brief = (await service.acme.write(options=options)).brief
        day = (await service.acme.usage()).budget.day
    assert brief.fallback == brief_pb2.FALLBACK_BUDGET
    assert brief.fallback_reason.startswith(reason)
    assert day.end_time.ToDatetime(UTC) - day.start_time.ToDatetime(UTC) == timedelta(days=1)
    assert counted(day) == (0, 0, 0)


async def test_a_raised_budget_is_effective_for_the_next_call_and_of_the_same_request(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply(GOOD, GOOD)
    async with arrangement.service(endpoint) as service:
        assert (await service.acme.write(options=within(0))).brief.writer == brief_pb2.WRITER_EXTRACTIVE
        raised = await service.acme.write(options=within(most))
        assert raised.brief.writer == brief_pb2.WRITER_LLM
        lowered = await service.acme.write(request_id="run-2", options=within(COST))
        assert lowered.brief.fallback == brief_pb2.FALLBACK_BUDGET
        unlimited = await service.acme.write(request_id="run-2")
        assert unlimited.brief.writer == brief_pb2.WRITER_LLM
        month = await month_of(service.acme)
    assert counted(month) == (2 * COST, 0, 0)
    assert not month.HasField("limit_micro_dollars")
    assert not month.HasField("left_micro_dollars")


async def test_what_was_bought_before_is_free(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        first = await service.acme.write(options=within(most))
        again = await service.acme.write(options=within(0))
        month = await month_of(service.acme)
    assert again.brief == first.brief
    assert again.usage.from_ledger
    assert counted(month) == (COST, 0, 0)


FREE = {"llm_input_price": "0", "llm_output_price": "0"}


async def test_a_free_model_is_stopped_by_no_budget_but_that_of_nothing(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint, **FREE) as service:
        free = await service.acme.write(options=within(1, day=1, brief=1))
        none = [
            (await service.acme.write(request_id="run-2", options=options)).brief
            for options in (within(0), within(day=0), within(brief=0))
        ]
        month = await month_of(service.acme)
    assert free.brief.writer == brief_pb2.WRITER_LLM
    assert {each.fallback_reason for each in none} == {"this client's budget has no language model in it"}
    assert counted(month) == (0, 0, 0)


async def test_a_model_whose_price_is_unknown_is_not_asked_and_reserves_nothing(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    async with arrangement.service(
        endpoint, llm_input_price=None, llm_output_price=None, llm_model="gpt-4.1-mini"
    ) as service:
        options = within(1_000_000)
        options.model = "homegrown-7b"
        brief = (await service.acme.write(options=options)).brief
        month = await month_of(service.acme)
    assert brief.fallback == brief_pb2.FALLBACK_MODEL
    assert brief.fallback_reason.startswith("no price is known for the model homegrown-7b")
    assert counted(month) == (0, 0, 0)


async def test_an_answer_stays_when_its_models_price_is_no_longer_known(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD)
    options = pb.BriefOptions(model=endpoint.models[0])
    async with arrangement.service(endpoint) as service:
        await service.acme.write(options=options)
    async with arrangement.service(
        LlmEndpoint(), llm_input_price=None, llm_output_price=None, llm_model="gpt-4.1-mini"
    ) as unpriced:
        assert (await unpriced.acme.write(options=options)).usage.from_ledger


@pytest.mark.parametrize(
    "replies", [[Failure(400)], [Failure(401)], [Failure(429)] * 3, [Failure(503)] * 3], ids=str
)
async def test_a_call_that_has_cost_nothing_gives_back_what_was_set_aside(
    arrangement: Arrangement, endpoint: LlmEndpoint, replies: list[Reply]
) -> None:
    endpoint.reply(*replies)
    async with arrangement.service(endpoint) as service:
        assert (await service.acme.write()).brief.fallback == brief_pb2.FALLBACK_MODEL
        assert counted(await month_of(service.acme)) == (0, 0, 0)


async def test_an_endpoint_out_of_reach_costs_nothing(arrangement: Arrangement) -> None:
    async with arrangement.service(LlmEndpoint(), OPENAI_BASE_URL="http://127.0.0.1:1/v1") as service:
        await service.acme.write()
        assert counted(await month_of(service.acme)) == (0, 0, 0)


@pytest.mark.parametrize(
    "reply",
    [Lost(GOOD), Malformed(b"<html>Sign in</html>", "text/html"), Failure(504), Slow(5, GOOD)],
    ids=str,
)
async def test_a_call_that_may_have_been_paid_for_stays_set_aside_and_is_not_made_twice(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int, reply: Reply
) -> None:
    endpoint.reply(reply)
    async with arrangement.service(endpoint, llm_timeout_seconds=1) as service:
        first = await service.acme.write(options=within(2 * most - 1))
        assert first.brief.fallback == brief_pb2.FALLBACK_MODEL
        month = await month_of(service.acme)
        assert counted(month) == (0, 0, most)
        assert month.left_micro_dollars == most - 1
        again = await service.acme.write(options=within(2 * most - 1))
        capped = await service.acme.write(options=within(brief=2 * most - 1))
    assert again.brief.fallback_reason.startswith(MONTH_USED_UP)
    assert capped.brief.fallback == brief_pb2.FALLBACK_BUDGET
    assert await arrangement.purchases() == 0


async def test_what_a_killed_process_set_aside_counts_until_the_month_is_over(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply_by(gate := Gate(seconds=60))
    acme = arrangement.tenant("acme")
    async with arrangement.service(endpoint) as survivor, running(endpoint) as base_url:
        async with service_process(arrangement, endpoint, base_url) as (buyer, client):
            call = client.begin(options=within(most))
            await gate.asked.wait()
            assert counted(await month_of(survivor.acme)) == (0, most, 0)
            buyer.kill()
            await buyer.wait()
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        await arrangement.execute(LAPSED, acme)
        assert counted(await month_of(survivor.acme)) == (0, 0, most)
        # The provider may charge for it all the same.
        refused = await survivor.acme.write(options=within(2 * most - 1))
        assert refused.brief.fallback == brief_pb2.FALLBACK_BUDGET
        assert await arrangement.purchases() == 0

        endpoint.reply(GOOD)
        bought = await survivor.acme.write(options=within(2 * most))
        assert bought.brief.writer == brief_pb2.WRITER_LLM
        assert counted(await month_of(survivor.acme)) == (COST, 0, most)

        for statement in A_MONTH_AGO:
            await arrangement.execute(statement, acme)
        assert counted(await month_of(survivor.acme)) == (0, 0, 0)
    assert gate.count == 1


async def test_of_two_answers_to_one_request_both_are_booked_each_once(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    asked = asyncio.Event()

    def reply(_: Asked) -> Reply:
        if asked.is_set():
            return COSTLY
        asked.set()
        return Slow(1.5, GOOD)

    endpoint.reply_by(reply)
    options = within(2 * most)
    async with (
        arrangement.service(endpoint, llm_lease_seconds=600) as slow,
        arrangement.service(endpoint) as quick,
    ):
        first = slow.acme.begin(options=options)
        await asked.wait()
        await arrangement.execute(LAPSED, arrangement.tenant("acme"))
        await quick.acme.write(options=options)
        assert counted(await month_of(quick.acme)) == (COSTLY_COST, 0, most)
        await first
        usage = await slow.acme.usage()
    assert counted(usage.budget.month) == (COSTLY_COST + COST, 0, 0)
    assert round(usage.cost * 1_000_000) == COSTLY_COST + COST


async def test_a_call_belongs_to_the_month_and_day_in_which_it_was_reserved(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply_by(gate := Gate(seconds=1))
    acme = arrangement.tenant("acme")
    async with arrangement.service(endpoint) as service:
        call = service.acme.begin(options=within(most, day=most))
        await gate.asked.wait()
        for statement in A_MONTH_AGO:
            await arrangement.execute(statement, acme)
        second = service.acme.begin(request_id="run-2", options=within(most, day=most))
        assert {(await each).brief.writer for each in (call, second)} == {brief_pb2.WRITER_LLM}
        now = (await service.acme.usage()).budget
    assert counted(now.month) == counted(now.day) == (COST, 0, 0)
    async with arrangement.connection() as connection:
        rows = await connection.fetch(
            """
            select period, start_date, spent from synthesis.budget_periods
            where tenant_id = $1 order by period, start_date
            """,
            acme,
        )
    assert [row["period"] for row in rows] == ["day", "day", "month", "month"]
    assert {row["spent"] * 1_000_000 for row in rows} == {COST}
    assert rows[2]["start_date"] < rows[3]["start_date"] == now.month.start_time.ToDatetime(UTC).date()


@pytest.mark.parametrize(
    ("moment", "periods"),
    [
        ("2026-12-31 23:59:59.999999+00", [("2026-12-01", "2027-01-01"), ("2026-12-31", "2027-01-01")]),
        ("2027-01-01 00:00:00+00", [("2027-01-01", "2027-02-01"), ("2027-01-01", "2027-01-02")]),
        ("2028-03-01 00:30:00+02", [("2028-02-01", "2028-03-01"), ("2028-02-29", "2028-03-01")]),
    ],
)
async def test_months_and_days_are_those_of_utc_whatever_the_database_thinks(
    arrangement: Arrangement, moment: str, periods: list[tuple[str, str]]
) -> None:
    async with arrangement.connection() as connection:
        await connection.execute("set timezone to 'Pacific/Auckland'")
        rows = await connection.fetch(
            "select start_date, end_date, synthesis.budget_time(start_date) as begin"
            " from synthesis.budget_periods_at($1::text::timestamptz)",
            moment,
        )
    assert [(str(row["start_date"]), str(row["end_date"])) for row in rows] == periods
    assert all(row["begin"].astimezone(UTC).isoformat()[:19].endswith("T00:00:00") for row in rows)


async def test_eighty_and_a_hundred_per_cent_are_warned_of_once_a_period_and_limit(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply_by(lambda _: COSTLY)
    # The second call passes 80 per cent, the third does not fit.
    budget = 2 * most
    labels = [{"period": "month", "percent": percent} for percent in ("80", "100")]
    before = [metric("budget_crossings", **each) for each in labels]
    with capture_logs() as logs:
        async with arrangement.service(endpoint) as one, arrangement.service(endpoint) as other:
            for number in range(6):
                replica = (one, other)[number % 2]
                await replica.acme.write(request_id=f"run-{number}", options=within(budget))
            for _ in range(2):
                await one.acme.write(request_id="run-7", options=within(budget + 1))
            await one.acme.write(request_id="run-8", options=within(0))
    told = [
        (each["period"], each["used_percent"], each["limit_dollars"])
        for each in logs
        if each["event"] == "budget_running_out"
    ]
    limits = [str(Decimal(micro).scaleb(-6)) for micro in (budget, budget + 1)]
    assert told == [("month", 80, limits[0]), ("month", 100, limits[0]), ("month", 100, limits[1])]
    assert [metric("budget_crossings", **each) for each in labels] == [before[0] + 1, before[1] + 2]


async def test_nobody_sees_or_spends_anothers_budget(
    arrangement: Arrangement, endpoint: LlmEndpoint, most: int
) -> None:
    endpoint.reply(GOOD, Lost(GOOD), GOOD)
    async with arrangement.service(endpoint) as service:
        acme, globex = service.acme, service.tenant("globex")
        await acme.write(options=within(2 * most))
        await acme.write(request_id="run-2", options=within(2 * most))
        before = await month_of(globex)
        assert counted(before) == (0, 0, 0)
        assert not before.HasField("limit_micro_dollars")
        assert (await globex.write(options=within(most))).brief.writer == brief_pb2.WRITER_LLM
        assert counted(await month_of(acme)) == (COST, 0, most)


async def test_a_refused_budget_is_named(arrangement: Arrangement, endpoint: LlmEndpoint) -> None:
    async with arrangement.service(endpoint) as service:
        for wrong in (within(-1), within(1_000_000_000_001)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.acme.write(options=wrong)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "options.budget.month_micro_dollars" in (refused.value.details() or "")


def test_a_cost_is_rounded_up_to_the_millionth() -> None:
    prices = Prices(Decimal("0.1"), Decimal("0.3"))
    assert prices.cost("any", prompt_tokens=10, completion_tokens=0) == Decimal("0.000001")
    assert prices.cost("any", prompt_tokens=11, completion_tokens=0) == Decimal("0.000002")
    assert prices.cost("any", prompt_tokens=0, completion_tokens=0) == 0


LONG_AGO = """
insert into synthesis.budget_periods (tenant_id, period, start_date, spent)
select $1, 'day', current_date - days, 1 from unnest(array[1, 61, 64]) days;
"""
SET_ASIDE_LONG_AGO = """
insert into synthesis.reservations (tenant_id, purchase_id, request_id, amount, reserve_time)
select $1, gen_random_uuid(), days::text, 1, now() - make_interval(days => days)
from unnest(array[1, 61, 64]) days
"""


async def test_what_was_spent_long_ago_expires_with_the_ledger(arrangement: Arrangement) -> None:
    acme, globex = arrangement.tenant("acme"), arrangement.tenant("globex")
    for tenant in (acme, globex):
        await arrangement.execute(LONG_AGO, tenant)
        await arrangement.execute(SET_ASIDE_LONG_AGO, tenant)
    database = Database.lazy(arrangement.database.url("synthesis"), role="dossier_synthesis")
    try:
        await tenant_rows(database, retention_days=None).expire(acme, 62)
        kept = {
            tenant: await tenant_rows(database, retention_days=None).count(tenant)
            for tenant in (acme, globex)
        }
    finally:
        await database.close()
    counts = {tenant: (tables["budget_periods"], tables["reservations"]) for tenant, tables in kept.items()}
    assert counts == {acme: (2, 2), globex: (3, 3)}


PAID = """
insert into synthesis.calls (tenant_id, request_id, content_hash, model, prompt_version, answer, finish,
    prompt_tokens, completion_tokens, cost, estimated, create_time)
values ('acme', $1, '', 'm', '1', '', 'complete', 1, 1, 0.000123, false, $2)
"""


async def test_what_was_spent_before_there_were_budgets_counts(database: TestDatabase, keys: Keys) -> None:
    arrangement = Arrangement(database, keys)
    await roll_back(database.admin_url, service="synthesis", steps=1)
    for number, day in enumerate((30, 31, 31)):
        await arrangement.execute(PAID, f"run-{number}", datetime(2026, 10, day, 23, 59, tzinfo=UTC))
    await migrate(database.admin_url)
    async with arrangement.connection() as connection:
        rows = await connection.fetch(
            "select period, start_date::text, spent from synthesis.budget_periods order by 1, 2"
        )
    assert [tuple(row) for row in rows] == [
        ("day", "2026-10-30", Decimal("0.000123")),
        ("day", "2026-10-31", Decimal("0.000246")),
        ("month", "2026-10-01", Decimal("0.000369")),
    ]
