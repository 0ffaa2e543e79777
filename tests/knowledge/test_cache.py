"""What is kept of knowledge bases' answers, for how long, and who asks anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis
from prometheus_client import REGISTRY

from services.knowledge.cache import Cache, Made
from services.runtime.redis import OptionalRedis

KEY = "dossier:knowledge:acme:base:k"


class Base:
    """Counts how often it is asked, and answers with that number."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.asked = 0
        self.seconds = seconds
        self.error: Exception | None = None
        self.lasting = True

    async def answer(self) -> Made:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Made(f"answer {number}", lasting=self.lasting)


@pytest.fixture
async def closers() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def a_cache(
    closers: AsyncExitStack,
    url: str,
    *,
    fresh_seconds: float = 60,
    kept_seconds: float = 120,
    briefly_seconds: float = 60,
) -> Cache:
    """As a replica has it."""
    cache = Cache(
        OptionalRedis.at(url, use="test_cache", seconds=5),
        fresh_seconds=fresh_seconds,
        kept_seconds=kept_seconds,
        briefly_seconds=briefly_seconds,
    )
    closers.push_async_callback(cache.close)
    return cache


async def test_what_is_fresh_is_given_without_asking(closers: AsyncExitStack, redis_url: str) -> None:
    one, other, base = a_cache(closers, redis_url), a_cache(closers, redis_url), Base()
    assert await one.text("acme", "k", base.answer) == "answer 1"
    assert await one.text("acme", "k", base.answer) == "answer 1"
    assert await other.text("acme", "k", base.answer) == "answer 1"
    assert await one.text("globex", "k", base.answer) == "answer 2"
    assert await one.text("acme", "l", base.answer) == "answer 3"


async def test_what_is_stale_is_given_at_once_and_asked_for_in_the_background(
    closers: AsyncExitStack, redis_url: str
) -> None:
    cache, base = a_cache(closers, redis_url, fresh_seconds=0.2), Base(seconds=0.3)
    await cache.text("acme", "k", base.answer)
    await asyncio.sleep(0.3)

    async with asyncio.timeout(0.25):
        stale = [await cache.text("acme", "k", base.answer) for _ in range(5)]
    await asyncio.sleep(0.5)

    assert stale == ["answer 1"] * 5
    assert base.asked == 2
    assert await cache.text("acme", "k", base.answer) == "answer 2"


async def test_what_is_too_old_is_gone(closers: AsyncExitStack, redis_url: str) -> None:
    cache, base = a_cache(closers, redis_url, fresh_seconds=0.1, kept_seconds=0.3), Base()
    await cache.text("acme", "k", base.answer)
    await asyncio.sleep(0.5)
    assert await cache.text("acme", "k", base.answer) == "answer 2"


async def test_of_all_replicas_one_asks(closers: AsyncExitStack, redis_url: str) -> None:
    caches, base = [a_cache(closers, redis_url) for _ in range(3)], Base(seconds=0.5)
    answers = await asyncio.gather(
        *(cache.text("acme", "k", base.answer) for cache in caches for _ in range(5))
    )
    assert answers == ["answer 1"] * 15
    assert base.asked == 1


async def test_an_error_reaches_all_who_wait_and_is_not_kept(closers: AsyncExitStack, redis_url: str) -> None:
    cache, base = a_cache(closers, redis_url), Base(seconds=0.2)
    base.error = ValueError("no")
    outcomes = await asyncio.gather(
        *(cache.text("acme", "k", base.answer) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [ValueError] * 3
    assert base.asked == 1
    base.error = None
    assert await cache.text("acme", "k", base.answer) == "answer 2"


async def test_of_all_replicas_one_finds_out_that_it_is_in_trouble(
    closers: AsyncExitStack, redis_url: str
) -> None:
    caches, base = [a_cache(closers, redis_url, briefly_seconds=1) for _ in range(3)], Base(seconds=0.5)
    base.lasting = False

    answers = await asyncio.gather(
        *(cache.text("acme", "k", base.answer) for cache in caches for _ in range(5))
    )

    assert answers == ["answer 1"] * 15
    assert await caches[1].text("acme", "k", base.answer) == "answer 1"
    await asyncio.sleep(1.1)
    assert await caches[2].text("acme", "k", base.answer) == "answer 2"


async def test_trouble_takes_no_answers_place_and_is_not_asked_for_again_at_once(
    closers: AsyncExitStack, redis_url: str
) -> None:
    cache, base = a_cache(closers, redis_url, fresh_seconds=0.1, briefly_seconds=1), Base()
    await cache.text("acme", "k", base.answer)
    base.lasting = False
    given = []
    for _ in range(5):
        await asyncio.sleep(0.15)
        given.append(await cache.text("acme", "k", base.answer))
    assert given == ["answer 1"] * 5
    assert base.asked == 2
    base.lasting = True
    await asyncio.sleep(1)
    await cache.text("acme", "k", base.answer)
    await asyncio.sleep(0.05)
    assert await cache.text("acme", "k", base.answer) == "answer 3"


@pytest.mark.parametrize("lasting", [True, False])
async def test_of_one_key_clients_share_nothing_kept_nor_asked(
    closers: AsyncExitStack, redis_url: str, *, lasting: bool
) -> None:
    cache, base = a_cache(closers, redis_url), Base(seconds=0.2)
    base.lasting = lasting
    tenants = ["acme", "globex"] * 2
    at_once = await asyncio.gather(*(cache.text(tenant, "k", base.answer) for tenant in tenants))
    later = [await cache.text(tenant, "k", base.answer) for tenant in tenants]
    # Whose question reaches Redis first is not said.
    first, second = sorted(at_once[:2])
    assert (first, second) == ("answer 1", "answer 2")
    assert at_once == later == at_once[:2] * 2


def counted() -> dict[str, float]:
    return {
        outcome: REGISTRY.get_sample_value("dossier_knowledge_cache_requests_total", {"outcome": outcome})
        or 0.0
        for outcome in ("hit", "stale", "joined", "miss", "away")
    }


async def test_each_look_is_counted_by_what_came_of_it(closers: AsyncExitStack, redis_url: str) -> None:
    """What the documented share of questions that the cache answered is computed from."""
    cache, base = a_cache(closers, redis_url, fresh_seconds=0.4), Base(seconds=0.1)
    before = counted()
    await asyncio.gather(*(cache.text("acme", "k", base.answer) for _ in range(3)))
    for _ in range(4):
        await cache.text("acme", "k", base.answer)
    await asyncio.sleep(0.5)
    await cache.text("acme", "k", base.answer)
    await Cache(None).text("acme", "k", base.answer)

    assert {outcome: now - before[outcome] for outcome, now in counted().items()} == {
        "miss": 1,
        "joined": 2,
        "hit": 4,
        "stale": 1,
        "away": 1,
    }


async def test_who_stops_waiting_does_not_stop_the_others(closers: AsyncExitStack, redis_url: str) -> None:
    cache, base = a_cache(closers, redis_url), Base(seconds=0.5)
    first = asyncio.create_task(cache.text("acme", "k", base.answer))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(cache.text("acme", "k", base.answer))
    await asyncio.sleep(0.1)
    first.cancel()
    assert await second == "answer 1"
    assert base.asked == 1


async def test_a_replica_that_died_while_asking_holds_nobody_up_for_long(
    closers: AsyncExitStack, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{KEY}:lock", "a dead one's", px=500)
    cache, base = a_cache(closers, redis_url), Base()
    async with asyncio.timeout(3):
        assert await cache.text("acme", "k", base.answer) == "answer 1"


async def test_what_is_too_long_is_not_kept(closers: AsyncExitStack, redis_url: str) -> None:
    cache = a_cache(closers, redis_url)

    async def long() -> Made:
        return Made("x" * 300_000, lasting=True)

    assert len(await cache.text("acme", "k", long)) == 300_000
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter("dossier:*")) == []


async def test_without_redis_those_who_ask_at_once_still_ask_once() -> None:
    cache, base = Cache(None), Base(seconds=0.2)
    answers = await asyncio.gather(*(cache.text("acme", "k", base.answer) for _ in range(5)))
    assert answers == ["answer 1"] * 5
    assert await cache.text("acme", "k", base.answer) == "answer 2"
