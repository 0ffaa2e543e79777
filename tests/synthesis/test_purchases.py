"""Answers are bought once, recorded before use, and never waited for longer than the caller waits."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest

from dossier.context.v1 import ticket_pb2
from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from services.runtime.errors import error_info
from tests.support.llm_endpoint import Answer, Asked, Failure, LlmEndpoint, Lost, Malformed, Reply, Slow
from tests.support.llm_wire import completion
from tests.synthesis.client import EVIDENCE, TUNNEL, Arrangement, claims, form

FIX = "Added the same selector pair on VNL-FW02 and restarted IKE."
GOOD = Answer(form(similar_tickets=[(FIX, [TUNNEL.id])]), prompt_tokens=1000, completion_tokens=50)
COST = 0.0015
ANOTHER = ticket_pb2.Ticket(id="2", subject="Another matter")


class Gate:
    """Replies slowly, and says when it was asked."""

    def __init__(self, *, seconds: float, then: Answer = GOOD) -> None:
        self.asked = asyncio.Event()
        self._slow = Slow(seconds, then)

    def __call__(self, asked: Asked) -> Reply:  # noqa: ARG002
        self.asked.set()
        return self._slow


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 10
    while not await holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


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


NO_USAGE = json.dumps(
    completion("1", "m", content=GOOD.text, refusal=None, finish_reason="stop", used={}) | {"usage": None}
).encode()
NO_COUNT = json.dumps(
    completion(
        "1",
        "m",
        content=GOOD.text,
        refusal=None,
        finish_reason="stop",
        used={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    )
).encode()


@pytest.mark.parametrize("body", [NO_USAGE, NO_COUNT])
async def test_without_usage_tokens_are_estimated_and_said_to_be(
    arrangement: Arrangement, endpoint: LlmEndpoint, body: bytes
) -> None:
    endpoint.reply(Malformed(body))
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write()
        again = await service.acme.write()
    assert response.brief.writer == brief_pb2.WRITER_LLM
    assert response.usage.estimated
    assert again.usage.estimated
    assert 200 < response.usage.prompt_tokens < 2000
    assert 20 < response.usage.completion_tokens < 200
    assert response.usage.cost > 0


WRONG_FORM = "the language model's answer was not of the form asked for"
EMPTY = completion("1", "m", content=None, refusal=None, finish_reason="stop", used={}) | {"choices": []}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Answer("I would restart it.", 9, 9), WRONG_FORM),
        (Answer("", 9, 0), WRONG_FORM),
        (Answer("[]", 9, 9), WRONG_FORM),
        (Answer({"first_steps": []}, 9, 9), WRONG_FORM),
        (Answer({**form(), "also": []}, 9, 9), WRONG_FORM),
        (Answer(form(first_steps=[("x" * 5000, [TUNNEL.id])]), 9, 9), WRONG_FORM),
        (Malformed(json.dumps(EMPTY).encode()), WRONG_FORM),
        (Answer('{"similar_tic', 9, 9, "length"), "the language model's answer was cut off"),
        (Answer("", 9, 9, refusal="I can't help with that."), "the language model declined to answer"),
        (Answer("", 9, 9, "content_filter"), "the language model declined to answer"),
        (
            Answer(form(first_steps=[("Call 0900-555 at once.", [TUNNEL.id])]), 9, 9),
            "nothing in the language model's answer was borne out",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_is_recorded_and_replaced(
    arrangement: Arrangement, endpoint: LlmEndpoint, reply: Reply, reason: str
) -> None:
    endpoint.reply(reply)
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write()
        again = await service.acme.write()
    assert response.brief.writer == brief_pb2.WRITER_EXTRACTIVE
    assert response.brief.fallback_reason == reason
    assert response.brief.sections
    assert response.usage.cost > 0
    assert again.brief == response.brief
    assert again.usage.from_ledger
    assert endpoint.count() == 1


async def test_a_model_that_finds_nothing_similar_is_believed(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(Answer(form(), 9, 9))
    async with arrangement.service(endpoint) as service:
        brief = (await service.acme.write()).brief
    assert (brief.nothing_similar, brief.writer, brief.fallback_reason) == (True, brief_pb2.WRITER_LLM, "")


async def test_without_evidence_no_model_is_asked(arrangement: Arrangement, endpoint: LlmEndpoint) -> None:
    async with arrangement.service(endpoint) as service:
        assert (await service.acme.write([])).brief.nothing_similar
    assert endpoint.count() == 0


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_what_passes_is_tried_again(
    arrangement: Arrangement, endpoint: LlmEndpoint, status: int
) -> None:
    endpoint.reply(Failure(status), Failure(status), GOOD)
    async with arrangement.service(endpoint) as service:
        brief = (await service.acme.write()).brief
    assert brief.writer == brief_pb2.WRITER_LLM
    assert endpoint.count() == 3


OVERLOADED = "the language model is overloaded or its quota is used up"


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([Failure(429)] * 3, OVERLOADED),
        ([Failure(500)] * 3, "the language model is out of order (HTTP 500)"),
        ([Failure(429, code="insufficient_quota")], OVERLOADED),
        ([Failure(429, retry_after="600")], OVERLOADED),
        ([Failure(401)], "the language model refused the request (HTTP 401)"),
        ([Failure(400, "secret of the prompt")], "the language model refused the request (HTTP 400)"),
        (
            [Malformed(b"<html>Sign in</html>", "text/html")],
            "the language model's endpoint does not speak the OpenAI wire format",
        ),
        (
            [Malformed(b'{"choices": [', "application/json")],
            "the language model's endpoint does not speak the OpenAI wire format",
        ),
        ([Lost(GOOD)], "the connection to the language model failed"),
    ],
)
async def test_what_does_not_pass_is_a_fallback_with_its_reason(
    arrangement: Arrangement, endpoint: LlmEndpoint, replies: list[Reply], reason: str
) -> None:
    endpoint.reply(*replies)
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write()
    assert response.brief.writer == brief_pb2.WRITER_EXTRACTIVE
    assert response.brief.fallback_reason == reason
    assert response.usage == brief_pb2.Usage()
    assert endpoint.count() == len(replies)
    assert await arrangement.recorded_calls() == 0


async def test_an_endpoint_out_of_reach_is_a_fallback(arrangement: Arrangement) -> None:
    async with arrangement.service(LlmEndpoint(), OPENAI_BASE_URL="http://127.0.0.1:1/v1") as service:
        brief = (await service.acme.write()).brief
    assert brief.fallback_reason == "the connection to the language model failed"


async def test_a_model_without_a_known_price_is_not_asked(arrangement: Arrangement) -> None:
    endpoint = LlmEndpoint(models=("gpt-4.1-mini", "homegrown-7b"))
    endpoint.reply(GOOD)
    unpriced = {"llm_input_price": None, "llm_output_price": None}
    async with arrangement.service(endpoint, **unpriced) as service:
        options = pb.BriefOptions(model="homegrown-7b")
        unknown = await service.acme.write(request_id="run-2", options=options)
        known = await service.acme.write()
    assert unknown.brief.fallback_reason.startswith("no price is known for the model homegrown-7b")
    assert known.usage.cost == pytest.approx(1000 * 0.4e-6 + 50 * 1.6e-6)
    assert endpoint.count() == 1


async def test_a_tenants_own_model_is_the_one_asked(arrangement: Arrangement) -> None:
    endpoint = LlmEndpoint(models=("standin-chat", "better-chat"))
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        response = await service.acme.write(EVIDENCE, options=pb.BriefOptions(model="better-chat"))
    assert response.usage.model == "better-chat"
    assert endpoint.journal[0].body["model"] == "better-chat"


async def test_row_level_security_alone_keeps_tenants_apart(
    arrangement: Arrangement, endpoint: LlmEndpoint
) -> None:
    endpoint.reply(GOOD)
    async with arrangement.service(endpoint) as service:
        await service.acme.write()
    connection = await asyncpg.connect(arrangement.database.url("synthesis"))

    async def seen_as(tenant: str) -> int:
        await connection.execute("select set_config('dossier.tenant', $1, false)", tenant)
        count: int = await connection.fetchval("select count(*) from synthesis.calls")
        return count

    try:
        assert await connection.fetchval("select count(*) from synthesis.calls") == 0
        assert await seen_as(arrangement.tenant("acme")) == 1
        assert await seen_as(arrangement.tenant("globex")) == 0
        copied = """
            insert into synthesis.calls
            select $1, 'stolen', content_hash, model, prompt_version, answer, finish, prompt_tokens,
                   completion_tokens, cost, estimated, create_time from synthesis.calls
        """
        await seen_as(arrangement.tenant("acme"))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(copied, arrangement.tenant("globex"))
        for statement in ("delete from synthesis.calls", "update synthesis.calls set cost = 0"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
