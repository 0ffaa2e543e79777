"""Pages of clients' knowledge bases become articles: what is new, changed, gone, in trouble, cut off."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article
from dossier.tenants.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_MODE_SEARCH,
    KNOWLEDGE_BASE_MODE_SYNC,
    KnowledgeBase,
)
from dossier.tenants.v1.tenant_pb2 import Tenant
from knowledgebases.confluence import client as confluence_client
from services.runtime.errors import error_info
from services.tenants.settings import TenantsSettings
from tests.knowledge.bases import World, running_world, until
from tests.knowledge.client import Client
from tests.knowledge.conftest import running_knowledge
from tests.support.confluence import TOKEN, Confluence, Page, failing, rate_limited
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.website import File, Website, running_website
from tests.tenants.conftest import key_file, settings

__all__ = ["key_file", "settings"]

TITLES = [f"Page {number:03}" for number in range(45)]


@pytest.fixture
async def confluence() -> Confluence:
    made = Confluence()
    made.put(
        *(
            Page(str(1000 + number), title, f"<h1>Cure</h1><p>Turn screw {number}.</p>")
            for number, title in enumerate(TITLES)
        )
    )
    return made


@pytest.fixture
async def world(
    settings: TenantsSettings, database: TestDatabase, keys: Keys, confluence: Confluence, base_url: str
) -> AsyncIterator[World]:
    async with running_world(settings, database, keys, confluence, base_url) as world:
        yield world


async def executed(database: TestDatabase, statement: str) -> list[asyncpg.Record]:
    admin = await asyncpg.connect(database.admin_url)
    try:
        return await admin.fetch(statement)
    finally:
        await admin.close()


async def again(world: World, name: str = "wiki") -> None:
    """Have it synced whole, to the end."""
    before = (await world.syncs())[0].success_time.ToNanoseconds()
    await world.sync_now(name)

    async def done() -> bool:
        return (await world.syncs())[0].success_time.ToNanoseconds() > before

    await until(done)


async def test_all_pages_become_articles_with_their_headings(world: World) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    sync = await world.synced()

    assert await world.titles() == TITLES
    assert (sync.name, sync.created_count, sync.article_count, sync.error) == ("wiki", 45, 45, "")
    article = await world.client().get("1007", "wiki")
    assert article.body == "# Cure\n\nTurn screw 7."
    assert article.url == f"{world.base_url}/spaces/IT/pages/1007"
    assert article.HasField("update_time")
    assert (await world.client().found("Turn screw 7"))[0] == "1007"
    assert await world.titles("globex") == []


async def test_only_what_has_changed_is_read_again_and_what_is_gone_is_removed(
    world: World, confluence: Confluence
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    await world.client().import_(Article(id="mine", title="Zebra", body="Not from the wiki."))
    confluence.bodies_read.clear()
    confluence.change("1001", title="Page 001 anew")
    confluence.change("1002", status="trashed")
    del confluence.pages["1003"]
    confluence.put(Page("2000", "Page new", "<p>New.</p>"))

    await again(world)

    assert sorted(confluence.bodies_read) == ["1001", "2000"]
    (sync,) = await world.syncs()
    assert (sync.created_count, sync.updated_count, sync.removed_count) == (1, 1, 2)
    expected = {*TITLES, "Page 001 anew", "Page new", "Zebra"} - {"Page 001", "Page 002", "Page 003"}
    assert set(await world.titles()) == expected
    assert "1003" not in await world.client().found("Turn screw 3")


async def test_what_changes_without_the_page_is_taken_in_when_all_are_compared(
    world: World, confluence: Confluence
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC, options={"spaces": "IT,OPS"})
    await world.synced()
    confluence.bodies_read.clear()
    confluence.pages["1001"] = replace(confluence.pages["1001"], labels=("vpn", "home"))
    confluence.pages["1002"] = replace(confluence.pages["1002"], space="OPS")

    await again(world)
    await again(world)

    assert list((await world.client().get("1001", "wiki")).tags) == ["vpn", "home"]
    assert (await world.client().get("1002", "wiki")).url == f"{world.base_url}/spaces/OPS/pages/1002"
    assert sorted(confluence.bodies_read) == ["1001", "1002"]


async def test_when_it_is_due_only_changes_are_asked_for(
    world: World, confluence: Confluence, database: TestDatabase
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    confluence.queries.clear()
    confluence.change("1001", title="Page 001 anew")
    await executed(database, "update knowledge.base_syncs set due_time = now()")

    async def is_taken_in() -> bool:
        return "Page 001 anew" in await world.titles()

    await until(is_taken_in)
    listings = [query for query in confluence.queries if "order by" in query]
    assert len(listings) == 1
    assert "lastmodified >= now(" in listings[0]


async def test_a_page_that_a_listing_misses_is_not_removed(world: World, confluence: Confluence) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    confluence.invisible = {"1004", "1005"}
    # This account may see it no more.
    del confluence.pages["1005"]
    confluence.gone_status = 403
    await again(world)
    titles = await world.titles()
    assert "Page 004" in titles
    assert "Page 005" not in titles


@pytest.mark.parametrize(
    ("fault", "told"), [(failing, "HTTP 503"), (lambda: rate_limited("1"), "rate limited")]
)
async def test_trouble_is_told_and_what_was_taken_in_stays(
    world: World, confluence: Confluence, fault: object, told: str, database: TestDatabase
) -> None:
    """A listing, a first batch, and then it breaks off."""
    confluence.faults += [0.0, 0.0, fault]  # type: ignore[list-item]
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)

    async def troubled() -> bool:
        return any(sync.error for sync in await world.syncs())

    await until(troubled)
    (sync,) = await world.syncs()
    assert told in sync.error
    assert TOKEN not in sync.error
    assert not sync.HasField("success_time")
    assert len(await world.titles()) == 20

    confluence.bodies_read.clear()
    await executed(database, "update knowledge.base_syncs set due_time = now()")

    async def mended() -> bool:
        return (await world.syncs())[0].HasField("success_time")

    await until(mended)
    assert len(confluence.bodies_read) == 25
    assert await world.titles() == TITLES
    assert not (await world.syncs())[0].error


async def test_another_replica_goes_on_where_a_killed_one_was(
    world: World, confluence: Confluence, database: TestDatabase
) -> None:
    confluence.delay_bodies = 1.0
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)

    async def begun() -> bool:
        return len(await world.titles()) > 0

    await until(begun)
    await world.knowledge.aclose()
    (kept,) = await executed(database, "select count(*) from knowledge.articles")
    assert 0 < kept["count"] < len(TITLES)
    (left,) = await executed(database, "select lease_end > now() as held from knowledge.base_syncs")
    assert left["held"]
    confluence.delay_bodies = 0.0
    confluence.bodies_read.clear()
    await executed(database, "update knowledge.base_syncs set lease_end = now()")

    async with running_knowledge(world.own) as stub:
        world.clients["acme"] = Client(stub, world.keys.metadata("knowledge", tenant="acme"))

        async def whole() -> bool:
            return await world.titles() == TITLES

        await until(whole)
    # What the killed one still waited for may be told late, and is among what is missing.
    assert len(set(confluence.bodies_read)) == len(TITLES) - kept["count"]


async def test_a_page_that_is_too_long_is_left_out_and_counted(
    world: World, confluence: Confluence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluence_client, "LARGEST_REPLY_BYTES", 20_000)
    confluence.put(Page("3000", "Endless", "<p>" + "x" * 30_000 + "</p>"))
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    sync = await world.synced()
    assert (sync.created_count, sync.rejected_count, sync.error) == (45, 1, "")
    assert "Endless" not in await world.titles()


async def test_a_hostile_page_holds_nothing_up(world: World, confluence: Confluence) -> None:
    confluence.put(
        Page("3001", "Deep", "<div>" * 5000 + "x"),
        Page("3002", "Nul", "<p>a\0b</p><script>alert(1)</script>"),
        Page("3003", "", "<p>Untitled.</p>"),
    )
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    sync = await world.synced()
    assert sync.rejected_count == 1
    assert (await world.client().get("3003", "wiki")).title == "3003"
    assert "alert" not in (await world.client().get("3002", "wiki")).body


async def test_what_is_no_longer_synced_takes_its_articles_along(world: World) -> None:
    await world.client().import_(Article(id="mine", title="Zebra", body="Not from the wiki."))
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)

    async def is_gone() -> bool:
        return await world.titles() == ["Zebra"] and not await world.syncs()

    await until(is_gone)


async def test_what_is_removed_while_it_is_synced_goes_when_that_sync_has_ended(
    world: World, confluence: Confluence
) -> None:
    confluence.faults.append(5.0)
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)

    async def is_under_way() -> bool:
        return any(sync.running for sync in await world.syncs())

    async def is_gone() -> bool:
        return await world.titles() == [] and not await world.syncs()

    await until(is_under_way)
    await world.drop_bases()
    await until(is_gone)


async def test_of_a_site_only_what_has_changed_is_read_again(world: World) -> None:
    long_ago = datetime(2026, 3, 1, 12, tzinfo=UTC)
    site = Website(
        {
            "vpn.html": File(b"<title>VPN</title><h1>Cure</h1><p>Renew it.</p>", modified=long_ago),
            "jam.html": File(b"<title>Jam</title><p>Rollers.</p>"),
            "old.html": File(b"<title>Old</title><p>Fax.</p>", modified=long_ago),
        }
    )
    async with running_website(site) as address:
        base = KnowledgeBase(name="handbook", connector="web", base_url=address)
        base.options["pages"] = "vpn.html,jam.html,old.html"
        await world.operator.update("acme", Tenant(knowledge_bases=[base]), "knowledge_bases")
        assert (await world.synced()).created_count == 3
        assert sorted(site.read()) == ["jam.html", "old.html", "vpn.html"]

        site.files["vpn.html"] = File(
            b"<title>VPN</title><h1>Cure</h1><p>Reset it.</p>", modified=long_ago + timedelta(days=1)
        )
        del site.files["old.html"]
        await again(world, "handbook")

        # What does not tell when it changed is read each time; what is gone was asked for once more.
        assert sorted(site.read()) == ["jam.html", "old.html", "vpn.html"]
        sync = (await world.syncs())[0]
        assert (sync.created_count, sync.updated_count, sync.removed_count) == (0, 1, 1)
        assert await world.titles() == ["Jam", "VPN"]
        assert "Reset it." in (await world.client().get("vpn.html", "handbook")).body

        base.options["pages"] = "vpn.html"
        await world.operator.update("acme", Tenant(knowledge_bases=[base]), "knowledge_bases")
        await again(world, "handbook")

        assert await world.titles() == ["VPN"]
        # Read anew or not, as its settings are known by then or not; what they name no more is not.
        assert {"jam.html", "old.html"}.isdisjoint(site.read())


async def test_two_clients_with_one_name_have_their_own_pages(world: World, confluence: Confluence) -> None:
    confluence.put(Page("1000", "Page of HR", "<p>Of HR.</p>", space="HR"))
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC, tenant="globex", options={"spaces": "HR"})
    await world.synced()
    await world.synced(tenant="globex")
    assert await world.titles() == TITLES[1:]
    assert await world.titles("globex") == ["Page of HR"]


async def test_a_sync_leaves_an_event_of_what_it_changed(world: World) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()

    async def told() -> bool:
        events = await world.operator.events("acme")
        return any(
            event.action == "ImportArticles"
            and event.resource == "knowledge_bases/wiki"
            and [(each.field, each.after) for each in event.changes] == [("created", "45")]
            for event in events
        )

    await until(told)


@pytest.mark.parametrize("name", ["nobodys", "wiki"])
async def test_what_is_not_synced_cannot_be(world: World, name: str) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await asyncio.sleep(2.1)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await world.sync_now(name)
    info = error_info(raised.value)
    assert info is not None
    assert (raised.value.code(), info.reason) == (grpc.StatusCode.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")


async def test_a_test_says_of_each_thing_whether_it_works(world: World, confluence: Confluence) -> None:
    client = world.client()
    request = pb.TestKnowledgeBaseRequest(knowledge_base="wiki")

    async def checks() -> list[tuple[int, int]]:
        answer = await client.stub.TestKnowledgeBase(request, metadata=client.metadata)
        return [(each.kind, each.verdict) for each in answer.checks]

    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    assert await checks() == [(1, 1), (2, 1), (3, 1), (4, 1)]
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH, credentials={"token": "wrong"})
    await asyncio.sleep(2.1)
    assert await checks() == [(1, 1), (2, 2), (3, 3), (4, 3)]
    confluence.pages.clear()
    await world.set_base(KNOWLEDGE_BASE_MODE_SEARCH)
    await asyncio.sleep(2.1)
    assert await checks() == [(1, 1), (2, 1), (3, 2), (4, 1)]


async def test_other_settings_are_felt_at_once_and_what_they_leave_out_is_removed(
    world: World, confluence: Confluence
) -> None:
    """Also where it is most of what was there: somebody has said so."""
    confluence.put(
        *(Page(str(3000 + number), f"Pay {number}", "<p>Pay.</p>", space="HR") for number in range(60))
    )
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC, options={"spaces": "IT,HR"})
    await world.synced()
    assert len(await world.titles()) == len(TITLES) + 60

    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)

    async def only_what_is_chosen() -> bool:
        return await world.titles() == TITLES

    await until(only_what_is_chosen)


async def test_much_that_is_listed_no_more_is_removed_only_when_somebody_asks(
    world: World, confluence: Confluence, database: TestDatabase
) -> None:
    """As while an index is built anew: the knowledge base says that there is nothing, and no error."""
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    for number in range(30):
        del confluence.pages[str(1000 + number)]
    await executed(
        database, "update knowledge.base_syncs set due_time = now(), whole_time = now() - interval '7 hours'"
    )

    async def has_failed() -> bool:
        return "30 of 45 pages are not listed any more" in (await world.syncs())[0].error

    await until(has_failed)
    assert await world.titles() == TITLES

    await again(world)

    assert await world.titles() == TITLES[30:]


async def test_a_sync_that_was_asked_for_and_cut_off_is_still_whole(
    world: World, confluence: Confluence, database: TestDatabase
) -> None:
    await world.set_base(KNOWLEDGE_BASE_MODE_SYNC)
    await world.synced()
    del confluence.pages["1003"]
    confluence.change("1001", title="Page 001 anew")
    confluence.delay_bodies = 2.0
    await world.sync_now()

    async def is_running() -> bool:
        return (await world.syncs())[0].running

    await until(is_running)
    # As if its replica had been killed there.
    confluence.delay_bodies = 0.0
    await executed(
        database, "update knowledge.base_syncs set lease_id = gen_random_uuid(), lease_end = now()"
    )

    async def is_gone() -> bool:
        return "Page 003" not in await world.titles()

    await until(is_gone)
