"""Pages are converted for all clients in the same processes, of which each has its share."""

import asyncio
import time

from converting.worker import Worker
from knowledgebases.model import Page
from services.knowledge.model import Article, Source
from services.knowledge.pages import Pages
from services.knowledge.shares import Shares
from services.runtime.importing import Broken

WIKI = Source("wiki")


def a_page(page_id: str, html: str) -> Page:
    return Page(page_id, "Title", html, url="", labels=(), updated=None)


SLOW = a_page("slow", "<p>" + "<i>word</i> " * 400_000)


async def test_slow_pages_of_one_client_hold_up_its_own_and_no_others() -> None:
    with Worker(processes=2, seconds=2) as worker:
        pages = Pages(worker)
        await pages.article("acme", WIKI, a_page("warm", "<p>x"))
        theirs = [asyncio.create_task(pages.article("acme", WIKI, SLOW)) for _ in range(3)]
        await asyncio.sleep(0.2)
        begun = time.monotonic()

        read = [await pages.article("globex", WIKI, a_page(str(at), "<p>Quick")) for at in range(5)]

        waited = time.monotonic() - begun
        broken = await asyncio.gather(*theirs)

    assert all(isinstance(each, Article) and each.body == "Quick" for each in read)
    assert waited < 1.5
    assert all(isinstance(each, Broken) and each.reason == "was not read within 2 s" for each in broken)


async def test_others_are_served_between_those_of_a_client_with_many() -> None:
    shares, order = Shares(in_all=1, of_one=1), list[str]()

    async def hold(tenant: str) -> None:
        async with shares.one(tenant):
            order.append(tenant)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(hold(tenant) for tenant in ["acme"] * 5 + ["globex"] * 2))

    assert order == ["acme", "globex", "acme", "globex", "acme", "acme", "acme"]


async def test_who_stops_waiting_leaves_the_line() -> None:
    shares = Shares(in_all=1, of_one=1)
    async with shares.one("acme"):
        waiting = [asyncio.create_task(_hold(shares, tenant)) for tenant in ("acme", "globex")]
        await asyncio.sleep(0.01)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        for tenant in ("globex", "acme"):
            await _hold(shares, tenant)


async def _hold(shares: Shares, tenant: str) -> None:
    async with shares.one(tenant):
        pass
