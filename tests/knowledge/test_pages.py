"""Pages are converted for all clients in the same processes, of which each has its share."""

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from converting.errors import ConverterBroken
from converting.worker import Worker
from knowledgebases.model import Page
from services.knowledge.model import Article, Source
from services.knowledge.pages import Pages
from services.knowledge.shares import Shares
from services.knowledge.unconverted import PageKey, Unconverted
from services.runtime.importing import Broken

WIKI = Source("wiki")


def a_page(page_id: str, html: str) -> Page:
    return Page(page_id, "Title", html, url="", labels=(), updated=None)


SLOW = a_page("slow", "<p>" + "<i>word</i> " * 1_000_000)


async def test_slow_pages_of_one_client_hold_up_its_own_and_no_others() -> None:
    with Worker(processes=2, seconds=4) as worker:
        pages = Pages(worker)
        await pages.article("acme", WIKI, a_page("warm", "<p>x"))
        theirs = [asyncio.create_task(pages.article("acme", WIKI, SLOW)) for _ in range(3)]
        await asyncio.sleep(0.2)
        begun = time.monotonic()

        read = [await pages.article("globex", WIKI, a_page(str(at), "<p>Quick")) for at in range(5)]

        waited = time.monotonic() - begun
        broken = await asyncio.gather(*theirs)

    assert all(isinstance(each, Article) and each.body == "Quick" for each in read)
    assert waited < 4
    assert all(isinstance(each, Broken) and each.reason == "was not read within 4 s" for each in broken)


async def test_clients_who_stop_waiting_hold_up_no_other_and_end_no_process_early() -> None:
    """More of them than processes, each giving up a page and taking the next as fast as it can."""
    with Worker(processes=2, seconds=2) as worker:
        pages = Pages(worker)
        await asyncio.gather(*(pages.article(each, WIKI, a_page("warm", "<p>x")) for each in ("acme", "b")))

        async def give_up(tenant: str) -> None:
            for at in range(1_000):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await pages.article(tenant, WIKI, replace(SLOW, id=str(at)))

        slow = [asyncio.create_task(give_up(f"slow-{at}")) for at in range(4)]
        await asyncio.sleep(0.5)
        waited = []
        for at in range(4):
            begun = time.monotonic()
            read = await pages.article("globex", WIKI, a_page(str(at), "<p>Quick"))
            waited.append(time.monotonic() - begun)
            assert isinstance(read, Article)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    # Before it are at most four, in two processes; each ends within its time, and then is begun anew.
    assert max(waited) < 3 * (2 + 1.5)


async def test_who_stops_waiting_keeps_its_share_until_the_page_is_done() -> None:
    with Worker(processes=2, seconds=3) as worker:
        pages = Pages(worker)
        await pages.article("acme", WIKI, a_page("warm", "<p>x"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pages.article("acme", WIKI, SLOW)
        begun = time.monotonic()
        await pages.article("acme", WIKI, a_page("1", "<p>x"))
        waited = time.monotonic() - begun

    assert waited > 0.5


async def test_a_page_that_could_not_be_converted_is_not_tried_again_until_it_changes() -> None:
    page = replace(SLOW, updated=datetime(2026, 1, 2, tzinfo=UTC))
    with Worker(seconds=3) as worker:
        pages = Pages(worker)
        first = await pages.article("acme", WIKI, page)
        begun = time.monotonic()
        again = await pages.article("acme", WIKI, page)
        waited = time.monotonic() - begun
        quick = replace(page, html="<p>x")
        others = [
            await pages.article("globex", WIKI, quick),
            await pages.article("acme", Source("other"), quick),
            await pages.article("acme", WIKI, replace(quick, updated=datetime(2026, 1, 3, tzinfo=UTC))),
        ]

    assert isinstance(again, Broken)
    assert again == first
    assert waited < 1
    assert all(isinstance(each, Article) for each in others)


def test_what_is_remembered_is_bounded_in_time_and_number() -> None:
    def key(page: str) -> PageKey:
        return "acme", WIKI, page, datetime(2026, 1, 2, tzinfo=UTC)

    known = Unconverted(seconds=0.2, most=2)
    for page in ("1", "2", "3"):
        known.add(key(page), "slow")
    assert [known.reason(key(page)) for page in ("1", "2", "3")] == [None, "slow", "slow"]
    time.sleep(0.25)
    assert known.reason(key("3")) is None


async def test_that_the_converter_is_broken_rejects_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converting.worker._prepare", os._exit)
    page = a_page("1", "<p>x")
    with Worker(memory_bytes=3) as worker:
        pages = Pages(worker)
        for _ in range(2):
            with pytest.raises(ConverterBroken):
                await pages.article("acme", WIKI, page)


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
    async with asyncio.timeout(10):
        for tenant in ("globex", "acme"):
            await _hold(shares, tenant)


async def _hold(shares: Shares, tenant: str) -> None:
    async with shares.one(tenant):
        pass
