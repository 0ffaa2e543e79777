"""Server-sent events, over real HTTP and a real gRPC stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import orjson
import pytest

from dossier.orchestrator.v1 import enhancement_pb2
from tests.gateway.world import World, eventually, key, running_world
from tests.support.keys import Keys

RUNNING = enhancement_pb2.ENHANCEMENT_STATE_RUNNING
DONE = enhancement_pb2.ENHANCEMENT_STATE_SUCCEEDED
PATH = "/v1/enhancements/enh-1/events"


@asynccontextmanager
async def following(world: World) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[str]]]:
    async with world.http.stream("GET", PATH, headers=key(), timeout=10) as response:
        yield response, _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    text = ""
    async for piece in response.aiter_text():
        text += piece
        while "\n\n" in text:
            event, _, text = text.partition("\n\n")
            yield event


async def test_every_change_is_an_event_until_the_end(world: World) -> None:
    await world.orchestrator.updates.put(RUNNING)
    async with following(world) as (response, events):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        name, number, data = (await anext(events)).splitlines()
        assert (name, number) == ("event: enhancement", "id: 1")
        assert orjson.loads(data.removeprefix("data: "))["state"] == "ENHANCEMENT_STATE_RUNNING"
        await world.orchestrator.updates.put(DONE)
        assert "SUCCEEDED" in await anext(events)
        await world.orchestrator.updates.put(None)
        assert [event async for event in events] == ["event: end\nid: 3\ndata: {}"]
    assert world.orchestrator.callers[-1].tenant == "acme"


async def test_a_silent_stream_is_kept_alive(keys: Keys) -> None:
    async with running_world(keys, events_heartbeat_seconds=0.02) as world:
        await world.orchestrator.updates.put(RUNNING)
        async with following(world) as (_, events):
            await anext(events)
            assert await anext(events) == ": still here"
            assert await anext(events) == ": still here"


async def test_a_stream_ends_soon_after_its_key_is_revoked(keys: Keys) -> None:
    async with running_world(keys, events_confirm_seconds=0.05, secret_cache_seconds=0) as world:
        await world.orchestrator.updates.put(RUNNING)
        async with following(world) as (_, events):
            await anext(events)
            world.tenants.keys.clear()

            name, _number, data = (await anext(events)).splitlines()

            assert name == "event: error"
            assert orjson.loads(data.removeprefix("data: "))["reason"] == "API_KEY_INVALID"
            assert [event async for event in events] == []
        await eventually(lambda: world.orchestrator.watchers == 0)


async def test_a_stream_goes_on_while_nobody_can_say_whether_its_key_is_good(keys: Keys) -> None:
    async with running_world(keys, events_confirm_seconds=0.05, secret_cache_seconds=0) as world:
        await world.orchestrator.updates.put(RUNNING)
        async with following(world) as (_, events):
            await anext(events)
            await world.stop("tenants")
            await asyncio.sleep(0.5)
            await world.orchestrator.updates.put(DONE)

            assert "SUCCEEDED" in await anext(events)


async def test_an_unknown_enhancement_is_an_ordinary_404(world: World) -> None:
    answer = await world.http.get("/v1/enhancements/unknown/events", headers=key())
    assert answer.status_code == 404
    assert answer.json()["reason"] == "ENHANCEMENT_NOT_FOUND"
    assert (await world.http.get(PATH)).status_code == 401


async def test_a_client_that_leaves_ends_the_stream_behind(world: World) -> None:
    await world.orchestrator.updates.put(RUNNING)
    async with following(world) as (_, events):
        await anext(events)
        assert world.orchestrator.watchers == 1
    await eventually(lambda: world.orchestrator.watchers == 0)


async def test_a_stream_that_breaks_says_so(world: World) -> None:
    await world.orchestrator.updates.put(RUNNING)
    async with following(world) as (_, events):
        await anext(events)
        await world.stop("orchestrator")
        name, _number, data = (await anext(events)).splitlines()
        assert name == "event: error"
        assert orjson.loads(data.removeprefix("data: "))["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("seconds", [0.3])
async def test_a_stream_has_an_end_after_which_the_client_comes_again(keys: Keys, seconds: float) -> None:
    async with running_world(keys, events_seconds=seconds) as world:
        await world.orchestrator.updates.put(RUNNING)
        async with following(world) as (_, events):
            await anext(events)
            assert [event async for event in events] == []


async def test_a_drain_ends_the_streams_before_their_time(keys: Keys) -> None:
    async with AsyncExitStack() as clients:
        async with running_world(keys, drain_seconds=60) as world:
            await world.orchestrator.updates.put(RUNNING)
            http = await clients.enter_async_context(httpx.AsyncClient(timeout=10))
            stream = http.stream("GET", f"{world.gateway.url}{PATH}", headers=key())
            events = _events(await clients.enter_async_context(stream))
            await anext(events)
        assert [event async for event in events] == []
