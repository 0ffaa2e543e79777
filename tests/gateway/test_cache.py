"""What is believed for a moment, and forgotten when it is said to have changed."""

import asyncio

from gateway.cache import BriefCache
from tests.gateway.world import eventually


class Source:
    """Answers what is so when it is asked, some time after."""

    def __init__(self) -> None:
        self.now = "old"
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def load(self, _: str) -> str | None:
        self.asked += 1
        answer = self.now
        await self.answers.wait()
        return answer or None


def cache_of(source: Source) -> BriefCache[str, str | None]:
    return BriefCache(source.load, known=bool, seconds=3600)


async def test_what_is_forgotten_is_asked_for_anew_and_the_rest_is_not() -> None:
    source = Source()
    cache = cache_of(source)
    assert [await cache.get("acme"), await cache.get("globex")] == ["old", "old"]
    source.now = "new"

    cache.forget(lambda key, _: key == "acme")

    assert [await cache.get("acme"), await cache.get("globex")] == ["new", "old"]


async def test_what_was_known_is_overdue_when_it_is_to_be_forgotten_and_what_is_unknown_never() -> None:
    source = Source()
    cache = cache_of(source)
    await cache.get("acme")
    source.now = ""
    await cache.get("globex")
    assert not cache.is_overdue("acme", seconds=10)

    cache.forget(lambda *_: True)

    assert [cache.is_overdue(key, seconds=10) for key in ("acme", "globex", "other")] == [True, False, False]


async def test_what_was_unknown_is_forgotten_as_well() -> None:
    source = Source()
    cache = cache_of(source)
    source.now = ""
    assert await cache.get("acme") is None
    source.now = "new"

    cache.forget(lambda _, value: value is None)

    assert await cache.get("acme") == "new"


async def test_an_answer_that_was_under_way_when_it_was_forgotten_is_not_kept() -> None:
    source = Source()
    cache = cache_of(source)
    source.answers.clear()
    early = asyncio.create_task(cache.get("acme"))
    await eventually(lambda: source.asked == 1)
    source.now = "new"

    cache.forget(lambda key, _: key == "acme")
    late = asyncio.create_task(cache.get("acme"))
    await eventually(lambda: source.asked == 2)
    source.answers.set()

    assert await early == "old"
    assert await late == "new"
    assert await cache.get("acme") == "new"
    assert source.asked == 2


async def test_a_late_old_answer_does_not_replace_the_new_one() -> None:
    source = Source()
    cache = cache_of(source)
    source.answers.clear()
    early = asyncio.create_task(cache.get("acme"))
    await eventually(lambda: source.asked == 1)
    held, source.answers = source.answers, asyncio.Event()
    source.answers.set()
    source.now = "new"

    cache.forget(lambda key, _: key == "acme")
    assert await cache.get("acme") == "new"
    held.set()

    assert await early == "old"
    assert await cache.get("acme") == "new"


async def test_what_was_known_last_is_a_hint_still() -> None:
    source = Source()
    cache = cache_of(source)
    await cache.get("acme")

    cache.forget(lambda *_: True)

    assert cache.last("acme") == "old"
