"""Redis as it comes and goes, on a real one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
import structlog
from prometheus_client import REGISTRY

from cli.embedded.redis import EmbeddedRedis
from services.runtime.redis import OptionalRedis, RedisAway, Subscription
from services.runtime.redis import _within as within
from tests.support.children import running
from tests.support.polling import eventually

CHANNEL = "dossier:test:changed"


@pytest.fixture
def own_redis(server_home: Path, request: pytest.FixtureRequest) -> EmbeddedRedis:
    """One that the test starts and stops itself."""
    home = server_home / f"redis-{abs(hash(request.node.name))}"
    home.mkdir()
    return EmbeddedRedis(home)


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.connections = 0

    def connected(self) -> None:
        self.connections += 1


@asynccontextmanager
async def listening(url: str, *, seconds: float = 5) -> AsyncIterator[Heard]:
    heard = Heard()
    subscription = Subscription(url, CHANNEL, use="test_notices", seconds=seconds)
    task = asyncio.create_task(subscription.listen(heard=heard.said.append, connected=heard.connected))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait({task})


async def connections(heard: Heard, count: int) -> None:
    await asyncio.to_thread(eventually, lambda: heard.connections >= count, what=f"{count} connections")


async def messages(heard: Heard, count: int) -> list[str]:
    await asyncio.to_thread(eventually, lambda: len(heard.said) >= count, what=f"{count} messages")
    return heard.said


def away(use: str) -> float | None:
    return REGISTRY.get_sample_value("dossier_redis_away", {"use": use})


async def test_an_answer_comes_back_as_it_is(redis_url: str) -> None:
    shared = OptionalRedis.at(redis_url, use="test_answers", seconds=5)
    add, nothing = shared.script("return ARGV[1] + ARGV[2]"), shared.script("return nil")

    assert await shared.ask(lambda: add(args=[2, 3])) == 5
    assert await shared.ask(nothing) is None
    await shared.close()


async def test_who_asks_while_it_is_away_is_told_at_once_and_the_log_once(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    shared = OptionalRedis.at(own_redis.url(), use="test_away", seconds=5)
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            with pytest.raises(RedisAway):
                await shared.publish(CHANNEL, "acme")
    assert [each["event"] for each in said] == ["test_away_unavailable"]
    assert away("test_away") == 1

    with running(own_redis.program(), ready=own_redis.ready, log=tmp_path / "redis.log"):
        with structlog.testing.capture_logs() as said:
            async with asyncio.timeout(20):
                while not said:
                    try:
                        await shared.publish(CHANNEL, "acme")
                    except RedisAway:
                        await asyncio.sleep(0.05)
        assert [each["event"] for each in said] == ["test_away_available"]
        assert away("test_away") == 0
        await shared.close()


async def test_what_redis_refuses_is_as_if_it_were_away(redis_url: str) -> None:
    shared = OptionalRedis.at(redis_url, use="test_refusals", seconds=5)
    broken = shared.script("return redis.call('NO-SUCH-COMMAND')")
    with pytest.raises(RedisAway):
        await shared.ask(broken)
    await shared.close()


async def test_that_this_process_was_busy_is_not_taken_for_a_lost_redis() -> None:
    async def answer_after_a_busy_time() -> str:
        for _ in range(3):
            time.sleep(0.05)  # noqa: ASYNC251 - what is busy does not let others run
            await asyncio.sleep(0)
        return "granted"

    assert await within(0.01, answer_after_a_busy_time()) == "granted"


async def test_what_is_published_is_heard_by_everybody_who_listens(redis_url: str) -> None:
    shared = OptionalRedis.at(redis_url, use="test_publishing", seconds=5)
    async with listening(redis_url) as one, listening(redis_url) as other:
        await asyncio.gather(connections(one, 1), connections(other, 1))
        await shared.publish(CHANNEL, "acme")
        await shared.publish(CHANNEL, "globex")

        assert await messages(one, 2) == await messages(other, 2) == ["acme", "globex"]
    await shared.close()


async def test_a_quiet_channel_stays_connected(redis_url: str) -> None:
    async with listening(redis_url) as heard:
        await connections(heard, 1)
        await asyncio.sleep(3.5)
        with redis.Redis.from_url(redis_url) as client:
            assert client.publish(CHANNEL, "acme") == 1
        assert await messages(heard, 1) == ["acme"]
        assert heard.connections == 1


async def test_a_listener_whose_connection_was_cut_connects_again_and_says_so(redis_url: str) -> None:
    async with listening(redis_url) as heard:
        await connections(heard, 1)
        with redis.Redis.from_url(redis_url) as client:
            client.client_kill_filter(_type="pubsub")
            await connections(heard, 2)
            client.publish(CHANNEL, "acme")
        assert await messages(heard, 1) == ["acme"]


async def test_a_listener_that_redis_was_lost_to_says_so_once_and_comes_back(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as said:
        async with listening(own_redis.url()) as heard:
            await asyncio.sleep(2.5)
            assert [each["event"] for each in said] == ["test_notices_unavailable"]
            assert away("test_notices") == 1
            with running(own_redis.program(), ready=own_redis.ready, log=tmp_path / "redis.log"):
                await connections(heard, 1)
                assert away("test_notices") == 0
                with redis.Redis.from_url(own_redis.url()) as client:
                    client.publish(CHANNEL, "acme")
                assert await messages(heard, 1) == ["acme"]
    assert [each["event"] for each in said] == ["test_notices_unavailable", "test_notices_available"]


async def test_a_listener_notices_a_redis_that_fell_silent() -> None:
    opened = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with listening(f"redis://127.0.0.1:{port}", seconds=0.2) as heard:
        await asyncio.to_thread(eventually, lambda: opened >= 2, what="another try")
        assert heard.connections == 0
        assert away("test_notices") == 1
    server.close()
