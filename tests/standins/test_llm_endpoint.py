"""The stand-in LLM endpoint, asked by the real `openai` SDK."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ConfigDict, ValidationError

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


class Cause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    sources: list[str]


class Brief(BaseModel):
    model_config = ConfigDict(extra="forbid")

    causes: list[Cause]


@asynccontextmanager
async def client(
    endpoint: LlmEndpoint, *, api_key: str | None = None, max_retries: int = 0, patience_seconds: float = 10
) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        running(endpoint) as base_url,
        openai.AsyncOpenAI(
            base_url=base_url,
            api_key=endpoint.api_key if api_key is None else api_key,
            max_retries=max_retries,
            timeout=patience_seconds,
        ) as llm,
    ):
        yield llm


async def ask(
    llm: openai.AsyncOpenAI, *, text: str = "why is it slow", model: str = "standin-chat"
) -> ChatCompletion:
    return await llm.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


def scripted(*replies: Reply, streams_usage: bool = True) -> LlmEndpoint:
    endpoint = LlmEndpoint(streams_usage=streams_usage)
    endpoint.reply(*replies)
    return endpoint


async def test_a_scripted_answer_comes_with_its_exact_usage() -> None:
    endpoint = scripted(Answer("The disk is full.", prompt_tokens=900, completion_tokens=12))
    async with client(endpoint) as llm:
        completion = await ask(llm)
    assert completion.choices[0].message.content == "The disk is full."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (900, 12)
    assert completion.usage.total_tokens == 912
    (exchange,) = endpoint.journal
    assert (exchange.path, exchange.status, exchange.prompt_tokens) == ("/chat/completions", 200, 900)
    assert exchange.body["messages"][0]["content"] == "why is it slow"


async def test_tokens_that_are_not_given_are_counted_as_words() -> None:
    async with client(scripted(Answer("two words"))) as llm:
        usage = (await ask(llm, text="one two three")).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 2)


async def test_replies_come_in_order_and_then_from_the_script() -> None:
    endpoint = scripted(Answer("first"), Answer("second"))
    endpoint.reply_by(lambda asked: Answer(f"echo {asked.text}"))
    async with client(endpoint) as llm:
        said = [(await ask(llm, text=text)).choices[0].message.content for text in ("a", "b", "c")]
    assert said == ["first", "second", "echo c"]
    assert endpoint.count() == 3


async def test_structured_output_is_parsed() -> None:
    answer = {"causes": [{"text": "Wrong rolls", "sources": ["T-12"]}]}
    async with client(scripted(Answer(answer))) as llm:
        parsed = await llm.chat.completions.parse(
            model="standin-chat", messages=[{"role": "user", "content": "x"}], response_format=Brief
        )
    assert parsed.choices[0].message.parsed == Brief(causes=[Cause(text="Wrong rolls", sources=["T-12"])])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
    ],
)
async def test_a_strict_schema_that_is_open_is_refused(schema: dict[str, object]) -> None:
    endpoint = LlmEndpoint()
    async with client(endpoint) as llm:
        with pytest.raises(openai.BadRequestError, match="Invalid schema for response_format 'brief'"):
            await llm.chat.completions.create(
                model="standin-chat",
                messages=[{"role": "user", "content": "x"}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "brief", "strict": True, "schema": schema},
                },
            )


@pytest.mark.parametrize(
    ("finish_reason", "error"),
    [("length", openai.LengthFinishReasonError), ("content_filter", openai.ContentFilterFinishReasonError)],
)
async def test_an_answer_that_was_cut_or_filtered_says_so(
    finish_reason: Literal["length", "content_filter"], error: type[Exception]
) -> None:
    async with client(scripted(Answer('{"causes": [{"te', finish_reason=finish_reason))) as llm:
        with pytest.raises(error):
            await llm.chat.completions.parse(
                model="standin-chat", messages=[{"role": "user", "content": "x"}], response_format=Brief
            )


async def test_a_broken_structured_answer_is_the_sdks_validation_error() -> None:
    async with client(scripted(Answer('{"causes": 7}'))) as llm:
        with pytest.raises(ValidationError):
            await llm.chat.completions.parse(
                model="standin-chat", messages=[{"role": "user", "content": "x"}], response_format=Brief
            )


async def test_a_refusal_is_not_content() -> None:
    async with client(scripted(Answer("", refusal="I cannot help with that."))) as llm:
        message = (await ask(llm)).choices[0].message
    assert (message.content, message.refusal) == (None, "I cannot help with that.")


async def test_more_than_the_asked_limit_is_not_sent_nor_charged() -> None:
    endpoint = scripted(Answer("one two three four"))
    async with client(endpoint) as llm:
        completion = await llm.chat.completions.create(
            model="standin-chat", messages=[{"role": "user", "content": "x"}], max_completion_tokens=2
        )
    assert completion.choices[0].message.content == "one two"
    assert completion.choices[0].finish_reason == "length"
    assert endpoint.journal[0].completion_tokens == 2


@pytest.mark.parametrize(
    ("asks_usage", "streams_usage", "total"), [(True, True, 15), (False, True, None), (True, False, None)]
)
async def test_a_stream_ends_with_its_usage_where_it_is_asked_for_and_supported(
    *, asks_usage: bool, streams_usage: bool, total: int | None
) -> None:
    answer = Answer("A longer answer in pieces", prompt_tokens=10, completion_tokens=5)
    async with client(scripted(answer, streams_usage=streams_usage)) as llm:
        stream = await llm.chat.completions.create(
            model="standin-chat",
            messages=[{"role": "user", "content": "x"}],
            stream=True,
            stream_options={"include_usage": asks_usage},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer.content
    usages = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    assert usages == ([total] if total else [])
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


async def test_a_stream_can_end_amid_its_events() -> None:
    endpoint = scripted(Lost(Answer("A longer answer in pieces", completion_tokens=5), after_events=2))
    received = []

    async def receive(stream: openai.AsyncStream[ChatCompletionChunk]) -> None:
        async for chunk in stream:
            received.append(chunk)  # noqa: PERF401 - what came before the cut is kept

    async with client(endpoint) as llm:
        stream = await llm.chat.completions.create(
            model="standin-chat", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError):
            await receive(stream)
    assert len(received) == 2
    assert (endpoint.journal[0].status, endpoint.journal[0].completion_tokens) == (0, 5)


async def test_a_lost_reply_is_a_connection_error_and_is_charged() -> None:
    endpoint = scripted(Lost(Answer("paid", prompt_tokens=7, completion_tokens=3)))
    async with client(endpoint) as llm:
        with pytest.raises(openai.APIConnectionError):
            await ask(llm)
    assert (endpoint.journal[0].prompt_tokens, endpoint.journal[0].completion_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(429, retry_after="3"), openai.RateLimitError),
        (Failure(500), openai.InternalServerError),
        (Failure(503), openai.InternalServerError),
        (Failure(400, code="context_length_exceeded"), openai.BadRequestError),
        (Failure(403), openai.PermissionDeniedError),
    ],
)
async def test_a_scripted_failure_is_the_sdks_own_error(
    failure: Failure, error: type[openai.APIStatusError]
) -> None:
    async with client(scripted(failure)) as llm:
        with pytest.raises(error) as failed:
            await ask(llm)
    assert failed.value.code == failure.code
    assert failed.value.response.headers.get("retry-after") == failure.retry_after


async def test_a_client_that_tries_again_is_counted_each_time() -> None:
    endpoint = scripted(Failure(429, retry_after="0"), Failure(500), Answer("at last"))
    async with client(endpoint, max_retries=2) as llm:
        assert (await ask(llm)).choices[0].message.content == "at last"
    assert [exchange.status for exchange in endpoint.journal] == [429, 500, 200]


async def test_a_slow_answer_runs_into_the_clients_timeout() -> None:
    async with client(scripted(Slow(30, Answer("late"))), patience_seconds=0.2) as llm:
        with pytest.raises(openai.APITimeoutError):
            await ask(llm)


async def test_a_malformed_reply_is_passed_as_it_is() -> None:
    async with client(scripted(Malformed(b'{"choices": ['))) as llm:
        with pytest.raises(ValueError, match="Expecting value"):
            await ask(llm)


async def test_an_unknown_key_is_refused_before_anything_else() -> None:
    endpoint = LlmEndpoint()
    async with client(endpoint, api_key="wrong") as llm:
        with pytest.raises(openai.AuthenticationError) as refused:
            await ask(llm, model="no-such-model")
    assert refused.value.code == "invalid_api_key"
    assert [exchange.status for exchange in endpoint.journal] == [401]


async def test_an_unknown_model_is_not_found() -> None:
    async with client(LlmEndpoint()) as llm:
        with pytest.raises(openai.NotFoundError) as refused:
            await ask(llm, model="no-such-model")
    assert refused.value.code == "model_not_found"


async def test_the_models_are_listed() -> None:
    async with client(LlmEndpoint()) as llm:
        names = [model.id async for model in llm.models.list()]
        one = await llm.models.retrieve("standin-chat")
    assert names == ["standin-chat", "standin-embed"]
    assert one.id == "standin-chat"


async def test_embeddings_depend_on_the_text_alone_in_either_encoding() -> None:
    endpoint = LlmEndpoint(dimensions=8)
    async with client(endpoint) as llm:
        floats = await llm.embeddings.create(
            model="standin-embed", input=["one text", "another text"], encoding_format="float"
        )
        # Without a format the SDK asks for base64 and decodes it.
        decoded = await llm.embeddings.create(model="standin-embed", input="one text")
    assert [len(row.embedding) for row in floats.data] == [8, 8]
    assert floats.data[0].embedding != floats.data[1].embedding
    assert decoded.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert sum(value * value for value in floats.data[0].embedding) == pytest.approx(1)
    assert (floats.usage.prompt_tokens, decoded.usage.total_tokens) == (4, 2)
    assert [exchange.body["encoding_format"] for exchange in endpoint.journal] == ["float", "base64"]


async def test_embeddings_fail_when_told_to() -> None:
    endpoint = LlmEndpoint()
    endpoint.fail_embeddings(Failure(429))
    async with client(endpoint) as llm:
        with pytest.raises(openai.RateLimitError):
            await llm.embeddings.create(model="standin-embed", input="x")
        assert (await llm.embeddings.create(model="standin-embed", input="x")).data


async def test_a_reply_that_nobody_asked_for_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"replies nobody asked for.*never"):
        async with client(scripted(Answer("never"))):
            pass


async def test_a_request_without_a_reply_fails_the_test() -> None:
    def only_printers(asked: Asked) -> Answer | None:
        return Answer("yes") if "printer" in asked.text else None

    endpoint = LlmEndpoint()
    endpoint.reply_by(only_printers)

    async def converse() -> None:
        async with client(endpoint, max_retries=2) as llm:
            await ask(llm, text="my printer")
            with pytest.raises(openai.BadRequestError, match="no reply"):
                await ask(llm, text="my mouse")

    with pytest.raises(AssertionError, match=r"without a reply.*my mouse"):
        await converse()
    assert endpoint.count() == 2


async def test_the_tests_own_failure_is_not_hidden_by_unused_replies() -> None:
    with pytest.raises(ZeroDivisionError):
        async with client(scripted(Answer("never"))):
            raise ZeroDivisionError
