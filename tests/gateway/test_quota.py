"""What gateways count together, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis
from prometheus_client import REGISTRY

from gateway.counts import Handed, SharedCounts
from gateway.quota import Holder, Quota

ACME = Holder("acme")
KEY = "dossier:gateway:acme:limit:webhooks:"

NewQuota = Callable[..., Quota]


@pytest.fixture
async def another(redis_url: str) -> AsyncIterator[NewQuota]:
    """One more gateway's."""
    async with AsyncExitStack() as closers:

        def new(limit: int) -> Quota:
            counts = SharedCounts.at(redis_url, seconds=5)
            closers.push_async_callback(counts.close)
            return Quota("webhooks", limit, counts)

        yield new


async def granted(quota: Quota, amount: int = 1, *, holder: Holder = ACME) -> bool:
    standing = await quota.take(holder, amount)
    assert standing is not None
    return standing.granted


async def used_up(*quotas: Quota) -> int:
    """Take from each in turn until none gives any more; how many there were."""
    total = 0
    giving = list(quotas)
    while giving:
        for quota in list(giving):
            if await granted(quota):
                total += 1
            else:
                giving.remove(quota)
    return total


async def test_gateways_share_one_limit_exactly_where_a_slice_is_one(another: NewQuota) -> None:
    assert await used_up(another(199), another(199)) == 199


async def test_two_gateways_together_let_no_more_through_than_the_limit(another: NewQuota) -> None:
    quotas = [another(2000), another(2000)]

    took = await asyncio.gather(*(granted(quota) for quota in quotas for _ in range(2000)))

    # A slice is 20; what one has left of its last is refused at the other.
    assert 2000 - 19 <= sum(took) <= 2000


async def test_what_a_gateway_that_went_quiet_still_has_is_all_that_is_missing(another: NewQuota) -> None:
    quiet, busy = another(2000), another(2000)
    assert await granted(quiet)

    assert await used_up(busy) == 2000 - 20
    assert await used_up(quiet) == 19


async def test_what_is_left_of_a_slice_lapses_with_its_window(another: NewQuota, redis_url: str) -> None:
    one, other = another(2000), another(2000)
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, 1900, px=500)
        assert await granted(one)
        assert await granted(other)
        assert int(client.get(KEY)) == 1940
    await asyncio.sleep(0.6)

    # With the 38 of the last window it would be more.
    assert 2000 - 19 <= await used_up(one, other) <= 2000


class SlowCounts(SharedCounts):
    """Now and then a long way from Redis."""

    delay_seconds = 0.0

    async def hand_out(self, key: str, **how_much: Any) -> Handed | None:
        await asyncio.sleep(self.delay_seconds)
        return await super().hand_out(key, **how_much)


async def test_a_slice_lapses_also_when_its_window_ends_while_more_is_asked_for(redis_url: str) -> None:
    counts = SlowCounts.at(redis_url, seconds=5)
    quota = Quota("webhooks", 2000, counts)
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, 1000, px=500)
        assert await granted(quota)
        # Asked for within the window, in which 19 are here still, and answered in the next.
        counts.delay_seconds = 0.6
        assert await granted(quota, 20)
        counts.delay_seconds = 0.0
        assert int(client.get(KEY)) == 20
    assert await used_up(quota) == 1980
    await counts.close()


async def test_who_waits_as_long_as_told_gets_through(another: NewQuota, redis_url: str) -> None:
    quota = another(5)
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, 5, px=2000)
    standing = await quota.take(ACME)
    assert standing is not None
    assert not standing.granted
    assert 0 < standing.seconds < 2.2

    await asyncio.sleep(standing.seconds)
    assert await granted(quota)


async def test_a_window_lasts_a_minute_and_its_count_goes_with_it(another: NewQuota, redis_url: str) -> None:
    await another(5).take(ACME)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.keys() == [KEY]
        assert 55 < client.ttl(KEY) <= 60


async def test_a_thousand_webhooks_are_one_question_and_refusals_are_none(
    another: NewQuota, redis_url: str
) -> None:
    quota, small = another(100_000), another(3)
    with redis.Redis.from_url(redis_url) as client:

        async def questions(quota: Quota, takes: int, holder: Holder) -> int:
            await asyncio.gather(*(quota.take(holder) for _ in range(takes)))
            stats = client.info("commandstats")
            client.config_resetstat()
            return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])

        await quota.take(Holder("globex"))
        client.config_resetstat()
        assert await questions(quota, 999, Holder("globex")) == 0
        assert await questions(quota, 1000, ACME) == 1
        # The first asks for itself and for those behind it.
        assert await questions(small, 200, Holder("initech")) <= 2
        assert await questions(small, 200, Holder("initech")) == 0


async def test_who_needs_more_than_is_left_leaves_it_to_who_needs_less(another: NewQuota) -> None:
    one, other = another(100), another(100)
    assert await granted(one, 70)
    assert not await granted(other, 40)
    assert await granted(other, 30)
    assert not await granted(one)


async def test_what_no_minute_has_room_for_takes_a_whole_one(another: NewQuota) -> None:
    quota = another(100)
    assert await granted(quota, 5000)
    assert not await granted(quota)


async def test_holders_have_limits_of_their_own(another: NewQuota) -> None:
    quota = another(1)
    for holder in (ACME, Holder("acme", "key"), Holder("globex"), Holder(name="192.0.2.1")):
        assert await granted(quota, holder=holder)
        assert not await granted(quota, holder=holder)


async def test_without_any_redis_each_gateway_counts_alone() -> None:
    before = REGISTRY.get_sample_value("dossier_gateway_limits_unavailable_total")
    assert await used_up(Quota("webhooks", 3, None), Quota("webhooks", 3, None)) == 6
    assert REGISTRY.get_sample_value("dossier_gateway_limits_unavailable_total") == before


async def test_zero_is_no_limit(another: NewQuota) -> None:
    quota = another(0)
    assert [await quota.take(ACME) for _ in range(10)] == [None] * 10


async def test_a_redis_that_does_not_answer_is_not_waited_for() -> None:
    opened = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    counts = SharedCounts.at(f"redis://127.0.0.1:{port}", seconds=0.2)
    quota = Quota("webhooks", 5, counts)
    async with asyncio.timeout(10):
        took = await asyncio.gather(*(quota.take(ACME) for _ in range(300)))
    assert took == [None] * 300
    assert opened < 10
    await counts.close()
    server.close()
