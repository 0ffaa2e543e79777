"""An endpoint that somebody else runs: what it may answer, and what becomes of it."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cli.standins.loopback import listening
from embedding.contract import DIMENSIONS, EmbedderUnavailable
from embedding.endpoint import Endpoint
from embedding.nothing import NoEmbedder
from embedding.settings import EmbeddingSettings

Answer = Callable[[Mapping[str, Any]], Response]


def vectors(numbers: Sequence[float], *, dimensions: int = DIMENSIONS, order: int = 1) -> Response:
    data = [
        {"object": "embedding", "index": index, "embedding": [number] * dimensions}
        for index, number in enumerate(numbers)
    ]
    return JSONResponse({"object": "list", "data": data[::order], "model": "m", "usage": {}})


@asynccontextmanager
async def endpoint(answer: Answer, *, seconds: float = 5) -> AsyncIterator[tuple[Endpoint, list[Any]]]:
    asked: list[Any] = []

    async def embeddings(request: Request) -> Response:
        body = await request.json()
        asked.append((body, request.headers.get("authorization")))
        said = answer(body)
        if asyncio.iscoroutine(said):
            await said
        return said

    async with listening(Starlette(routes=[Route("/v1/embeddings", embeddings, methods=["POST"])])) as url:
        client = Endpoint(f"{url}/v1", model="some-model", api_key="sk-some", seconds=seconds)
        yield client, asked
        await client.close()


async def test_texts_are_asked_for_in_openais_words() -> None:
    async with endpoint(lambda body: vectors([1.0] * len(body["input"]))) as (client, asked):
        found = await client.embed(["printer", "", "x" * 100_000])
    ((body, authorization),) = asked
    assert authorization == "Bearer sk-some"
    assert body["model"] == "some-model"
    assert body["dimensions"] == DIMENSIONS
    assert body["encoding_format"] == "float"
    assert [len(text) for text in body["input"]] == [7, 1, 8192]
    assert len(found) == 3


async def test_vectors_are_of_length_one_and_in_the_order_of_the_texts() -> None:
    async with endpoint(lambda _: vectors([3.0, -3.0], order=-1)) as (client, _):
        first, second = await client.embed(["a", "b"])
    assert first[0] > 0 > second[0]
    assert math.hypot(*first) == pytest.approx(1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda _: PlainTextResponse("Bad gateway", 502), "answers 502"),
        (lambda _: JSONResponse({"error": {"message": "no"}}, 401), "answers 401"),
        (lambda _: PlainTextResponse("<html>"), "no vectors of 384"),
        (lambda _: vectors([1.0], dimensions=1536), "no vectors of 384"),
        (lambda _: vectors([1.0, 1.0]), "2 vectors for 1 texts"),
        (lambda _: vectors([]), "0 vectors for 1 texts"),
        (lambda _: vectors([0.0]), "without a direction"),
        (lambda _: JSONResponse({"data": "x" * 1000}), "no vectors of 384"),
    ],
)
async def test_what_is_no_answer_is_said_to_be_none(answer: Answer, told: str) -> None:
    async with endpoint(answer) as (client, _):
        with pytest.raises(EmbedderUnavailable, match=told) as refused:
            await client.embed(["a"])
    assert "sk-some" not in str(refused.value)


async def test_an_answer_that_comes_in_parts_is_read_whole() -> None:
    def answer(body: Mapping[str, Any]) -> Response:
        whole = bytes(vectors([1.0] * len(body["input"])).body)

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), 4_000):
                yield whole[start : start + 4_000]
                await asyncio.sleep(0.01)

        return StreamingResponse(parts(), media_type="application/json")

    async with endpoint(answer) as (client, _):
        assert len(await client.embed(["a"] * 8)) == 8


async def test_an_answer_without_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding.endpoint._ANSWER_MOST", 100_000)

    async def for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 10_000
            await asyncio.sleep(0)

    async with endpoint(lambda _: StreamingResponse(for_ever())) as (client, _), asyncio.timeout(5):
        with pytest.raises(EmbedderUnavailable, match="TooLarge"):
            await client.embed(["a"])


async def test_nobody_waits_longer_than_told() -> None:
    class Slow(Response):
        async def __call__(self, *_: Any) -> None:
            await asyncio.sleep(30)

    async with endpoint(lambda _: Slow(), seconds=0.1) as (client, _):
        async with asyncio.timeout(5):
            with pytest.raises(EmbedderUnavailable, match="TimeoutError"):
                await client.embed(["a"])


async def test_more_texts_may_take_longer() -> None:
    class Slow(JSONResponse):
        async def __call__(self, *wire: Any) -> None:
            await asyncio.sleep(0.3)
            await super().__call__(*wire)

    def answer(body: Mapping[str, Any]) -> Response:
        told = vectors([1.0] * len(body["input"]))
        return Slow(json.loads(bytes(told.body)))

    async with endpoint(answer, seconds=0.1) as (client, _):
        assert len(await client.embed(["a"] * 20)) == 20
        with pytest.raises(EmbedderUnavailable, match="TimeoutError"):
            await client.embed(["a"])


async def test_nobody_there_is_said() -> None:
    client = Endpoint("http://127.0.0.1:9/v1", model="m", api_key=None, seconds=1)
    with pytest.raises(EmbedderUnavailable, match="ClientConnectorError"):
        await client.embed(["a"])
    await client.close()


async def test_without_an_endpoint_there_is_none() -> None:
    for unset in (EmbeddingSettings(), EmbeddingSettings(embedding_base_url="none")):
        embedder = unset.embedder()
        assert isinstance(embedder, NoEmbedder)
        assert embedder.model == ""
        with pytest.raises(EmbedderUnavailable):
            await embedder.embed(["a"])
    with pytest.raises(ValueError, match="must begin http"):
        EmbeddingSettings(embedding_base_url="ftp://models")
