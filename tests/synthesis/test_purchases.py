"""Answers are bought once, recorded before use, and never waited for longer than the caller waits."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest

from dossier.context.v1 import ticket_pb2
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from services.runtime.errors import error_info
from tests.support.llm_endpoint import LlmEndpoint, Slow
from tests.synthesis.client import FIX, GOOD, TUNNEL, Arrangement, Gate, claims, eventually

COST = 0.0015
ANOTHER = ticket_pb2.Ticket(id="2", subject="Another matter")


async def test_an_answer_becomes_a_checked_brief_with_its_cost(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write()
        usage = await service.acme.usage()
    assert response.brief.writer == brief_pb2.WRITER_LLM
    assert response.brief.fallback_reason == ""
    assert claims(response.brief) == [FIX]
    assert response.brief.sections[0].claims[0].verdict == brief_pb2.VERDICT_SUPPORTED
    assert response.usage == brief_pb2.Usage(
        model="standin-chat", prompt_tokens=1000, completion_tokens=50, cost=COST
    )
    (model,) = usage.models
    assert (model.call_count, model.prompt_tokens, model.completion_tokens) == (1, 1000, 50)
    assert usage.cost == pytest.approx(COST)


async def test_the_same_request_again_is_answered_from_the_ledger(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        first = await service.acme.write()
    async with arrangement.service(LlmEndpoint()) as restarted:
        again = await restarted.acme.write()
    assert again.brief == first.brief
    assert again.usage.from_ledger
    assert again.usage.cost == first.usage.cost


async def test_a_request_id_is_for_one_request(arrangement: Arrangement, endpoint: LlmEndpoint) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        await service.acme.write()
        for attempt in (
            service.acme.write(ticket=ANOTHER),
            service.acme.write([TUNNEL]),
            service.acme.write(options=pb.BriefOptions(language="nl")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await attempt
            assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
            info = error_info(refused.value)
            assert info is not None
            assert (info.domain, info.reason) == ("synthesis.dossier", "REQUEST_ID_REUSED")
            assert dict(info.metadata) == {"request_id": "run-1"}


async def test_two_tenants_may_use_the_same_request_id(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD, GOOD)
    async with arrangement.service(endpoint) as service:
        acme, globex = service.acme, service.tenant("globex")
        one, other = await asyncio.gather(acme.write(), globex.write(ticket=ANOTHER))
        assert not one.usage.from_ledger
        assert not other.usage.from_ledger
        assert (await acme.write()).usage.from_ledger
        for client in (acme, globex):
            assert [each.call_count for each in (await client.usage()).models] == [1]
        assert not (await service.tenant("initech").usage()).models
    assert endpoint.count() == 2


async def test_requests_at_the_same_time_buy_one_answer(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(Slow(0.3, GOOD))
    async with arrangement.service(endpoint) as service:
        responses = await asyncio.gather(*(service.acme.write() for _ in range(5)))
    assert endpoint.count() == 1
    assert all(each.brief == responses[0].brief for each in responses)
    assert sum(not each.usage.from_ledger for each in responses) == 1


async def test_another_request_under_an_id_in_use_is_refused_without_buying(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=0.3))
    async with arrangement.service(endpoint) as service:
        first = service.acme.begin()
        await gate.asked.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.acme.write(ticket=ANOTHER)
        assert (await first).brief.writer == brief_pb2.WRITER_LLM
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert endpoint.count() == 1


async def test_an_answer_whose_caller_went_away_is_kept(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=0.3))
    async with arrangement.service(endpoint) as service:
        call = service.acme.begin()
        await gate.asked.wait()
        call.cancel()
        again = await service.acme.write()
    assert again.brief.writer == brief_pb2.WRITER_LLM
    assert again.usage.from_ledger
    assert endpoint.count() == 1


async def test_a_server_that_stops_records_what_is_under_way(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply_by(gate := Gate(seconds=0.5))
    async with arrangement.service(endpoint, drain_seconds=0) as service:
        call = service.acme.begin()
        await gate.asked.wait()
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await call
    assert await arrangement.recorded_calls() == 1


async def test_the_fallback_arrives_before_the_callers_time_is_up_and_the_answer_is_kept(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(Slow(2, GOOD))
    async with arrangement.service(endpoint) as service:
        late = await service.acme.write(seconds=1.5)
        assert late.brief.writer == brief_pb2.WRITER_EXTRACTIVE
        assert late.brief.fallback_reason == "the language model did not answer in time"
        assert late.usage == brief_pb2.Usage()
        again = await service.acme.write()
    assert again.brief.writer == brief_pb2.WRITER_LLM
    assert endpoint.count() == 1


async def test_nothing_is_bought_that_nobody_can_wait_for(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    async with arrangement.service(endpoint) as service:
        brief = (await service.acme.write(seconds=0.9)).brief
    assert brief.fallback_reason == "too little time was left to ask the language model"
    assert endpoint.count() == 0


async def test_a_slow_answer_is_given_up_at_the_limit(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(Slow(5, GOOD))
    async with arrangement.service(endpoint, llm_timeout_seconds=0.3) as service:
        brief = (await service.acme.write()).brief
    assert brief.fallback_reason == "the language model did not answer in time"
    assert await arrangement.recorded_calls() == 0


async def test_nothing_is_bought_while_the_ledger_cannot_be_read(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    gone = "postgresql://dossier_synthesis@127.0.0.1:1/none"
    async with arrangement.service(endpoint, database_url=gone) as service:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await service.acme.write()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    info = error_info(refused.value)
    assert info is not None
    assert info.reason == "DEPENDENCY_UNAVAILABLE"
    assert dict(info.metadata) == {"dependency": "postgresql"}
    assert endpoint.count() == 0


async def test_an_answer_bought_while_the_database_went_away_is_recorded_when_it_is_back(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    url = urlsplit(arrangement.database.admin_url)
    name = url.path.removeprefix("/")
    admin = await asyncpg.connect(url._replace(path="/postgres").geturl())
    endpoint.reply_by(gate := Gate(seconds=0.2))
    try:
        async with arrangement.service(endpoint) as service:
            call = service.acme.begin()
            await gate.asked.wait()
            await admin.execute(f"alter database {name} allow_connections false")
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
            )

            async def answered() -> bool:
                return endpoint.count() == 1

            await eventually(answered)
            await admin.execute(f"alter database {name} allow_connections true")
            assert (await call).brief.writer == brief_pb2.WRITER_LLM
            assert (await service.acme.write()).usage.from_ledger
    finally:
        await admin.execute(f"alter database {name} allow_connections true")
        await admin.close()
    assert endpoint.count() == 1
