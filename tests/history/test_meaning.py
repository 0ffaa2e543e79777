"""Searching by meaning beside words, with the packaged model."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client
from tests.history.conftest import running_history, settings_for
from tests.support.databases import TestDatabase
from tests.support.embedder import EmbedderServer, another_model
from tests.support.keys import Keys

TICKETS = [
    PastTicket(id="print", title="Printer does not print", description="Paper jam in tray two"),
    PastTicket(id="vpn", title="VPN tunnel drops", description="Working from home, remote access is lost"),
    PastTicket(id="mail", title="Outlook asks for credentials", description="Sign-in window every minute"),
    PastTicket(
        id="start", title="Notebook does not start", description="Nothing happens at the power button"
    ),
]


def asks(subject: str, **more: object) -> pb.SearchSimilarTicketsRequest:
    return pb.SearchSimilarTicketsRequest(subject=subject, **more)  # type: ignore[arg-type]


async def embedded(database: TestDatabase, *, seconds: float = 20) -> None:
    """Wait until nothing waits for a vector."""
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with asyncio.timeout(seconds):
            while await admin.fetchval("select count(*) from history.embedding_backlog"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def models(database: TestDatabase) -> dict[str, str]:
    admin = await asyncpg.connect(database.admin_url)
    try:
        rows = await admin.fetch("select ticket_id, model from history.ticket_vectors")
    finally:
        await admin.close()
    return {row["ticket_id"]: row["model"] for row in rows}


@pytest.fixture
async def by_meaning(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> AsyncIterator[Callable[[str], Client]]:
    """A service that embeds; called with a tenant's name."""
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        yield lambda tenant: Client(stub, keys.metadata("history", tenant=tenant))


async def test_the_same_problem_without_a_word_in_common_is_found(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)

    [best, *_] = await acme.search(asks("Laptop won't turn on"))

    assert best.ticket.id == "start"
    assert list(best.explanation.matched_terms) == []
    assert best.explanation.lexical_score == 0
    assert 0.6 < best.explanation.semantic_score < 1
    assert 0 < best.score < best.explanation.semantic_score


async def test_words_and_meaning_together_make_the_score(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    words_alone = (await acme.search(asks("Printer does not print", min_score=0)))[0]
    await embedded(database)

    [best, *others] = await acme.search(asks("Printer does not print", min_score=0))

    assert best.ticket.id == words_alone.ticket.id == "print"
    assert best.explanation.semantic_score > 0.6
    earned = 0.6 * best.explanation.lexical_score + 0.85 * best.explanation.semantic_score - 0.31
    assert best.score == pytest.approx(min(1, earned), abs=1e-6)
    assert {each.ticket.id for each in others} == {"vpn", "mail", "start"}
    assert [each.score for each in others] == sorted((each.score for each in others), reverse=True)


async def test_nothing_similar_is_the_answer_when_nothing_is(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)

    assert await acme.found("The coffee machine drips", "Water everywhere, call a plumber") == []


async def test_what_changed_is_embedded_again_and_what_is_gone_is_not_found(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)
    question = asks("Laptop won't turn on")
    assert [each.ticket.id for each in await acme.search(question)] == ["start"]

    await acme.record(
        PastTicket(id="start", title="Badge reader is dead", description="My card does not open the door")
    )
    await embedded(database)
    assert await acme.search(question) == []
    assert await acme.found("Access card is not recognised at the door") == ["start"]

    await acme.delete("start")
    assert await acme.found("Access card is not recognised at the door") == []
    assert (await models(database)).keys() == {"print", "vpn", "mail"}


async def test_nobody_who_changes_a_ticket_waits_while_an_index_is_made(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)
    was = {each.ticket.id for each in await acme.search(asks("Laptop won't turn on"))}
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with admin.transaction():
            # As `create index` does.
            await admin.execute("lock table history.ticket_vectors in share mode")
            async with asyncio.timeout(5):
                await acme.record(PastTicket(id="start", title="The coffee tastes of soap"))
                await acme.record(PastTicket(id="new", title="No sound in meetings"))
        await embedded(database)
    finally:
        await admin.close()

    assert "start" in was
    assert "start" not in {each.ticket.id for each in await acme.search(asks("Laptop won't turn on"))}
    [found] = await acme.search(asks("Coffee with a soapy taste"))
    assert (found.ticket.id, found.explanation.semantic_score > 0.5) == ("start", True)


async def test_the_vector_of_what_a_ticket_was_is_not_compared_while_its_next_is_waited_for(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)
    question = asks("Laptop won't turn on", min_score=0)
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with admin.transaction():
            # So that no vector is kept.
            await admin.execute("lock table history.ticket_vectors in share mode")
            solved = PastTicket(resolution="Changed the battery")
            solved.MergeFrom(TICKETS[3])
            await acme.record(solved)
            same_text = await acme.search(question)
            await acme.record(PastTicket(id="start", title="Badge reader is dead"))
            other_text = await acme.search(question)
    finally:
        await admin.close()

    assert next(each for each in same_text if each.ticket.id == "start").explanation.semantic_score > 0.6
    assert [each.ticket.id for each in other_text if each.explanation.semantic_score > 0.4] == []
    assert all(each.explanation.semantic_score == 0 for each in other_text if each.ticket.id == "start")


async def test_another_tenants_tickets_are_near_to_nobody(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    await by_meaning("acme").import_(*TICKETS)
    await by_meaning("globex").import_(PastTicket(id="g", title="Badge reader is dead"))
    await embedded(database)

    everything = await by_meaning("globex").search(asks("Notebook does not start", min_score=0, limit=100))

    assert [each.ticket.id for each in everything] == ["g"]


async def test_digits_and_stop_words_alone_are_compared_by_meaning(
    by_meaning: Callable[[str], Client], database: TestDatabase
) -> None:
    acme = by_meaning("acme")
    await acme.import_(*TICKETS)
    await embedded(database)

    for odd in ("1234567890 " * 50, "it is what it is", "¿?", "\0", "🙂" * 100):
        assert isinstance(await acme.search(asks(odd, min_score=0)), list)


async def test_without_the_embedder_words_alone_are_compared(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("history", tenant="acme")
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        await Client(stub, metadata).import_(*TICKETS)
        await embedded(database)
    settings = settings_for(database, keys, embedding_base_url="http://127.0.0.1:9/v1")
    async with running_history(settings) as stub:
        [best] = await Client(stub, metadata).search(asks("Printer does not print: paper jam"))
    assert best.ticket.id == "print"
    assert not best.explanation.HasField("semantic_score")


async def test_tickets_from_before_the_embedder_are_embedded_when_it_comes(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("history", tenant="acme")
    async with running_history(settings_for(database, keys)) as stub:
        await Client(stub, metadata).import_(*TICKETS)
    assert await models(database) == {}
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        async with asyncio.timeout(20):
            while len(await models(database)) < len(TICKETS):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await Client(stub, metadata).found("Laptop won't turn on") == ["start"]


async def test_vectors_of_two_models_are_never_compared(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    metadata = keys.metadata("history", tenant="acme")
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        await Client(stub, metadata).import_(*TICKETS)
        await embedded(database)
    admin = await asyncpg.connect(database.admin_url)
    asked: list[int] = []
    async with another_model(asked) as url:
        settings = settings_for(database, keys, embedding_base_url=url, embedding_model="other")
        # Held back, so that the old vectors are all there is.
        await admin.execute(
            "insert into history.embedding_backlog (tenant_id, source, ticket_id, taken_until, added)"
            " select tenant_id, source, ticket_id, 'infinity', '-infinity' from history.ticket_vectors"
        )
        # A replica of before goes on comparing what has not changed.
        async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
            found = await Client(stub, metadata).search(asks("Printer does not print", min_score=0))
            assert all(each.explanation.HasField("semantic_score") for each in found)
        async with running_history(settings) as stub:
            acme = Client(stub, metadata)
            found = await acme.search(asks("Printer does not print", min_score=0))
            assert not any(each.explanation.HasField("semantic_score") for each in found)
            await admin.execute("update history.embedding_backlog set taken_until = '-infinity'")
            await embedded(database)
            found = await acme.search(asks("Printer does not print", min_score=0))
            assert [each.explanation.semantic_score for each in found] == pytest.approx([1.0] * 4, abs=1e-3)
    await admin.close()
    assert set((await models(database)).values()) == {"other"}


async def test_a_text_that_the_endpoint_refuses_holds_up_no_other(database: TestDatabase, keys: Keys) -> None:
    metadata = keys.metadata("history", tenant="acme")
    async with (
        another_model([], refuses=lambda text: "jam" in text) as url,
        running_history(settings_for(database, keys, embedding_base_url=url)) as stub,
    ):
        await Client(stub, metadata).import_(*TICKETS)
        await embedded(database)
    assert set(await models(database)) == {"vpn", "mail", "start"}


async def test_an_endpoint_that_refuses_everything_is_taken_for_broken(
    database: TestDatabase, keys: Keys
) -> None:
    metadata = keys.metadata("history", tenant="acme")
    asked: list[int] = []
    async with (
        another_model(asked, refuses=lambda _: True) as url,
        running_history(settings_for(database, keys, embedding_base_url=url)) as stub,
    ):
        await Client(stub, metadata).import_(*TICKETS)
        async with asyncio.timeout(20):
            while len(asked) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    admin = await asyncpg.connect(database.admin_url)
    assert await admin.fetchval("select count(*) from history.embedding_backlog") == len(TICKETS)
    await admin.close()


async def test_replicas_share_the_backlog(database: TestDatabase, keys: Keys) -> None:
    asked: list[int] = []
    metadata = keys.metadata("history", tenant="acme")
    tickets = [PastTicket(id=str(number), title=f"Matter {number}") for number in range(200)]
    async with another_model(asked) as url:
        settings = settings_for(database, keys, embedding_base_url=url)
        async with running_history(settings) as stub, running_history(settings):
            await Client(stub, metadata).import_in_chunks(tickets)
            await embedded(database)
    assert sum(asked) == len(tickets)
    assert len(await models(database)) == len(tickets)


async def test_a_ticket_is_found_by_words_at_once_and_by_meaning_within_5_seconds_beside_an_import(
    by_meaning: Callable[[str], Client],
) -> None:
    acme = by_meaning("acme")
    await acme.import_in_chunks(
        [PastTicket(id=str(number), title=f"Matter {number} of the import") for number in range(3_000)]
    )
    await acme.record(TICKETS[3])

    assert await acme.found("Notebook does not start, power button") == ["start"]
    async with asyncio.timeout(5):
        while await acme.found("Laptop won't turn on") != ["start"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_search_does_not_wait_for_an_embedder_that_hangs(database: TestDatabase, keys: Keys) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    hanging = await asyncio.start_server(never, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    settings = settings_for(
        database, keys, embedding_base_url=f"http://127.0.0.1:{port}/v1", embedding_seconds=0.2
    )
    async with hanging, running_history(settings) as stub:
        acme = Client(stub, keys.metadata("history", tenant="acme"))
        await acme.import_(*TICKETS)
        request = asks("Printer does not print")
        for _ in range(20):
            answer = await stub.SearchSimilarTickets(request, metadata=acme.metadata, timeout=2)
            assert [each.ticket.id for each in answer.results] == ["print"]


async def test_while_few_are_embedded_words_alone_decide(
    database: TestDatabase, keys: Keys, embedder: EmbedderServer
) -> None:
    """Those with a vector would win over better ones without."""
    metadata = keys.metadata("history", tenant="acme")
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        acme = Client(stub, metadata)
        await acme.import_(*TICKETS, *(PastTicket(id=f"p{n}", title=f"Printer {n}") for n in range(9)))
        await embedded(database)
        question = asks("Printer does not print", min_score=0, limit=20)
        assert all(each.explanation.HasField("semantic_score") for each in await acme.search(question))
        admin = await asyncpg.connect(database.admin_url)
        await admin.execute("delete from history.ticket_vectors where ticket_id in ('p1', 'p2')")
        await admin.close()
        found = await acme.search(question)
    assert found[0].ticket.id == "print"
    assert len(found) == 10
    assert not any(each.explanation.HasField("semantic_score") for each in found)
