"""What becomes of each answer, and of each failure, of a language model's endpoint."""

import json

import pytest

from dossier.synthesis.v1 import brief_pb2
from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from tests.support.llm_endpoint import Answer, Failure, LlmEndpoint, Lost, Malformed, Reply
from tests.support.llm_wire import completion
from tests.synthesis.client import EVIDENCE, GOOD, TUNNEL, Arrangement, form

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
