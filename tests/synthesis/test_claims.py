"""Of all replicas one buys; what was bought is kept whoever is killed, and a killed buyer holds up nobody."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import grpc
import pytest

from cli.migrate.run import migrate, roll_back
from dossier.context.v1 import ticket_pb2
from dossier.synthesis.v1 import brief_pb2
from tests.support.databases import TestDatabase
from tests.support.llm_endpoint import Answer, Asked, Failure, LlmEndpoint, Reply, Slow, running
from tests.synthesis.client import ARTICLE, GOOD, Arrangement, Client, Gate, eventually, form
from tests.synthesis.processes import caller_process, service_process

ANOTHER = ticket_pb2.Ticket(id="2", subject="Another matter")
LATE = "the language model did not answer in time"
OTHER_WORDS = Answer(
    form(knowledge=[("Phase 1 is up and phase 2 is not.", [ARTICLE.id])]),
    prompt_tokens=2000,
    completion_tokens=100,
)
LAPSED = "update synthesis.purchases set lease_end = now() where tenant_id = $1"


async def test_two_replicas_asked_at_once_buy_one_answer(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=0.4))
    async with arrangement.service(endpoint) as one, arrangement.service(endpoint) as other:
        responses = await asyncio.gather(*(each.acme.write() for each in (one, other, one, other)))
    assert gate.count == 1
    assert all(each.brief == responses[0].brief for each in responses)
    assert all(each.provenance == responses[0].provenance for each in responses)
    assert sum(not each.usage.from_ledger for each in responses) == 1
    assert await arrangement.recorded_calls() == 1
    assert await arrangement.purchases() == 0


async def test_a_claim_lasts_as_long_as_its_buyer_is_at_it(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=3))
    async with AsyncExitStack() as replicas:
        one, other = [
            await replicas.enter_async_context(arrangement.service(endpoint, llm_lease_seconds=1))
            for _ in range(2)
        ]
        first = one.acme.begin()
        await gate.asked.wait()
        second = await other.acme.write()
        assert second.brief == (await first).brief
    assert second.usage.from_ledger
    assert gate.count == 1


async def test_the_answer_of_a_killed_caller_is_there_for_the_next_at_any_replica(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=0.4))
    async with (
        arrangement.service(endpoint) as one,
        arrangement.service(endpoint) as other,
        caller_process(one) as caller,
    ):
        await gate.asked.wait()
        caller.kill()
        await caller.wait()
        again = await other.acme.write()
    assert again.brief.writer == brief_pb2.WRITER_LLM
    assert again.usage.from_ledger
    assert gate.count == 1


async def test_whoever_cannot_wait_for_another_replicas_purchase_gets_the_fallback_and_buys_nothing(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=2.5))
    async with arrangement.service(endpoint) as one, arrangement.service(endpoint) as other:
        first = one.acme.begin()
        await gate.asked.wait()
        late = await other.acme.write(seconds=1.6)
        assert late.brief.fallback_reason == LATE
        assert (await first).brief.writer == brief_pb2.WRITER_LLM
        assert (await other.acme.write(seconds=0.9)).usage.from_ledger
    assert gate.count == 1


async def test_what_a_killed_process_was_buying_is_bought_by_the_next_who_asks_once_the_claim_has_lapsed(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=60))
    async with arrangement.service(endpoint, llm_lease_seconds=1) as survivor, running(endpoint) as base_url:
        async with service_process(
            arrangement, endpoint, base_url, DOSSIER_SYNTHESIS_LLM_LEASE_SECONDS="1"
        ) as (buyer, acme):
            await _killed_while_buying(buyer, acme, gate)
        endpoint.reply(GOOD)
        response = await survivor.acme.write()
    assert response.brief.writer == brief_pb2.WRITER_LLM
    assert not response.usage.from_ledger
    assert (gate.count, endpoint.count()) == (1, 1)
    assert await arrangement.purchases() == 0


async def test_until_a_killed_processs_claim_lapses_nobody_else_buys(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=60))
    async with arrangement.service(endpoint) as survivor, running(endpoint) as base_url:
        async with service_process(
            arrangement, endpoint, base_url, DOSSIER_SYNTHESIS_LLM_LEASE_SECONDS="600"
        ) as (buyer, acme):
            await _killed_while_buying(buyer, acme, gate)
        early = await survivor.acme.write(seconds=1.6)
        assert early.brief.fallback_reason == LATE
        assert gate.count == 1
        endpoint.reply(GOOD)
        await arrangement.execute(LAPSED, arrangement.tenant("acme"))
        assert (await survivor.acme.write()).brief.writer == brief_pb2.WRITER_LLM
    assert endpoint.count() == 1


async def _killed_while_buying(buyer: asyncio.subprocess.Process, acme: Client, gate: Gate) -> None:
    call = acme.begin()
    await gate.asked.wait()
    buyer.kill()
    await buyer.wait()
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def test_of_two_answers_the_first_recorded_is_everybodys_and_both_are_counted(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    asked = asyncio.Event()

    def reply(_: Asked) -> Reply:
        if asked.is_set():
            return OTHER_WORDS
        asked.set()
        return Slow(1.5, GOOD)

    endpoint.reply_by(reply)
    async with (
        arrangement.service(endpoint, llm_lease_seconds=600) as slow,
        arrangement.service(endpoint) as quick,
    ):
        first = slow.acme.begin()
        await asked.wait()
        await arrangement.execute(LAPSED, arrangement.tenant("acme"))
        second = await quick.acme.write()
        outrun = await first
        usage = await slow.acme.usage()
    assert not second.usage.from_ledger
    assert outrun.usage.from_ledger
    assert outrun.brief == second.brief
    assert outrun.usage.prompt_tokens == 2000
    (model,) = usage.models
    assert (model.call_count, model.prompt_tokens, model.completion_tokens) == (2, 3000, 150)
    assert await arrangement.recorded_calls() == 1
    assert await arrangement.surplus_calls() == 1
    assert await arrangement.purchases() == 0


async def test_another_request_under_an_id_being_bought_elsewhere_is_refused_at_once(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=2))
    async with arrangement.service(endpoint) as one, arrangement.service(endpoint) as other:
        first = one.acme.begin()
        await gate.asked.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await other.acme.write(ticket=ANOTHER)
        assert not first.done()
        await first
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert gate.count == 1


async def test_a_purchase_that_failed_holds_up_nobody(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(Failure(400), GOOD)
    async with (
        arrangement.service(endpoint, llm_lease_seconds=600) as one,
        arrangement.service(endpoint, llm_lease_seconds=600) as other,
    ):
        assert (await one.acme.write()).brief.writer == brief_pb2.WRITER_EXTRACTIVE
        assert await arrangement.purchases() == 0
        assert (await other.acme.write()).brief.writer == brief_pb2.WRITER_LLM


async def test_a_claim_that_the_database_lost_is_made_again(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=3))
    async with arrangement.service(endpoint, llm_lease_seconds=1) as service:
        call = service.acme.begin()
        await gate.asked.wait()
        await arrangement.execute(
            "delete from synthesis.purchases where tenant_id = $1", arrangement.tenant("acme")
        )

        async def claimed() -> bool:
            return await arrangement.purchases() == 1

        await eventually(claimed)
        await call
    assert await arrangement.purchases() == 0


async def test_a_claim_made_while_another_is_traded_for_its_record_buys_nothing(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    acme = arrangement.tenant("acme")
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service, arrangement.connection() as buyer:
        await service.acme.write()
        await buyer.execute("create temp table kept as table synthesis.calls with no data")
        await buyer.execute("insert into kept select * from synthesis.calls where tenant_id = $1", acme)
        await buyer.execute("delete from synthesis.calls where tenant_id = $1", acme)
        await buyer.execute(
            """
            insert into synthesis.purchases
            select tenant_id, request_id, purchase_id, content_hash, 'infinity' from kept
            """
        )
        async with buyer.transaction():
            await buyer.execute("insert into synthesis.calls table kept")
            await buyer.execute("delete from synthesis.purchases where tenant_id = $1", acme)
            call = service.acme.begin()
            async with arrangement.connection() as observer:

                async def waits() -> bool:
                    waiting: int = await observer.fetchval(
                        """
                        select count(*) from pg_stat_activity
                        where datname = current_database() and usename = 'dossier_synthesis'
                            and wait_event_type = 'Lock'
                        """
                    )
                    return waiting == 1

                await eventually(waits)
        assert (await call).usage.from_ledger
    assert endpoint.count() == 1
    assert await arrangement.purchases() == 0


async def test_row_level_security_alone_keeps_tenants_apart(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    acme, globex = arrangement.tenant("acme"), arrangement.tenant("globex")
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        await service.acme.write()
    await arrangement.execute(
        "insert into synthesis.purchases values ($1, 'run-2', gen_random_uuid(), '', now())", acme
    )
    await arrangement.execute(
        """
        insert into synthesis.surplus_calls
        select tenant_id, purchase_id, request_id, model, prompt_tokens, completion_tokens, cost, estimated
        from synthesis.calls where tenant_id = $1
        """,
        acme,
    )
    await arrangement.execute(
        "insert into synthesis.reservations values ($1, gen_random_uuid(), 'run-2', 1, now())", acme
    )
    await arrangement.execute("delete from synthesis.budget_periods where period = 'day'")
    connection = await asyncpg.connect(arrangement.database.url("synthesis"))

    async def execute(statement: str, *arguments: object) -> None:
        await connection.execute(statement, *arguments)

    async def seen_as(tenant: str, table: str) -> int:
        await execute("select set_config('dossier.tenant', $1, false)", tenant)
        count: int = await connection.fetchval(f"select count(*) from synthesis.{table}")  # noqa: S608
        return count

    try:
        for table in ("calls", "prompts", "surplus_calls", "purchases", "reservations", "budget_periods"):
            assert await seen_as("", table) == 0
            assert await seen_as(globex, table) == 0
            assert await seen_as(acme, table) == 1
            await execute(f"create temp table {table} as table synthesis.{table}")
            await execute(f"update pg_temp.{table} set tenant_id = $1", globex)  # noqa: S608
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await execute(f"insert into synthesis.{table} table pg_temp.{table}")
        for table in ("calls", "prompts", "surplus_calls", "reservations"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await execute(f"update synthesis.{table} set tenant_id = ''")  # noqa: S608
    finally:
        await connection.close()


async def test_migrations_go_back_and_forth(database: TestDatabase) -> None:
    undone = await roll_back(database.admin_url, service="synthesis", steps=3)
    done = await migrate(database.admin_url)
    assert [each.file for each in undone] == [each.file for each in reversed(done)]
