"""Tickets that report one incident are one result."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from services.history.incidents import title_words
from tests.history.client import Client
from tests.history.conftest import running_history, settings_for
from tests.history.test_meaning import embedded
from tests.history.test_similar import asks, fill
from tests.support.databases import TestDatabase
from tests.support.embedder import EmbedderServer
from tests.support.keys import Keys

SUBJECT = "Label printer prints empty labels"
TEXT = "Since the ribbon was changed in the cold store, every label comes out blank."
THEN = Timestamp(seconds=1772438400)


def ids(results: list[pb.SimilarTicket]) -> list[tuple[str, set[str], int]]:
    return [
        (each.ticket.id, {duplicate.id for duplicate in each.duplicates}, each.duplicate_count)
        for each in results
    ]


async def test_reports_of_one_incident_are_one_result_and_the_solved_one_stands_for_them(
    acme: Client,
) -> None:
    await fill(acme)
    await acme.import_(
        PastTicket(id="1", title=SUBJECT, description=TEXT),
        PastTicket(id="2", title=f"RE: [#4711] {SUBJECT}!", description=f"{TEXT} Please help."),
        PastTicket(id="3", title=f"Fwd: {SUBJECT}", description=TEXT, resolution="Calibrated the ribbon"),
        PastTicket(id="other", title="Label printer offline", description="Labels wait in the queue."),
    )

    results = await acme.search(asks(SUBJECT, description=TEXT))

    assert ids(results) == [("3", {"1", "2"}, 2), ("other", set(), 0)]
    assert [each.source for each in results[0].duplicates] == ["import", "import"]


async def test_the_limit_counts_incidents(acme: Client) -> None:
    await fill(acme)
    await acme.import_(
        *(PastTicket(id=f"same-{number}", title=SUBJECT, description=TEXT) for number in range(30)),
        PastTicket(id="offline", title="Label printer offline", description="Labels wait in the queue."),
        PastTicket(id="jam", title="Label printer jams", description="Labels stick to the roll."),
    )

    results = await acme.search(asks(SUBJECT, description=TEXT, limit=2, min_score=0))

    assert [each.ticket.id for each in results] == ["same-0", results[1].ticket.id]
    assert results[1].ticket.id in {"offline", "jam"}
    assert results[0].duplicate_count == 29
    assert len(results[0].duplicates) == 20


async def test_one_title_with_another_story_is_another_incident(acme: Client) -> None:
    await fill(acme)
    await acme.import_(
        PastTicket(id="1", title="Password reset", description="Finance, SAP client locked after vacation."),
        PastTicket(
            id="2", title="Password reset", description="New token for the VPN of the night shift nurse."
        ),
    )

    results = ids(await acme.search(asks("Password reset", limit=2)))

    assert {each[0] for each in results} == {"1", "2"}


async def test_ungrouped_every_ticket_is_a_result(acme: Client) -> None:
    await fill(acme)
    await acme.import_(*(PastTicket(id=str(n), title=SUBJECT, description=TEXT) for n in range(4)))

    results = await acme.search(asks(SUBJECT, description=TEXT, ungrouped=True))

    assert ids(results) == [(str(n), set(), 0) for n in range(4)]


async def test_grouping_is_the_same_each_time_and_whatever_the_order_of_import(
    acme: Client, globex: Client
) -> None:
    tickets = [
        *(PastTicket(id=f"a{n}", title=SUBJECT, description=f"{TEXT} {n}") for n in range(6)),
        *(PastTicket(id=f"b{n}", title="Label printer offline", description=TEXT) for n in range(6)),
    ]
    for client, rows in ((acme, tickets), (globex, tickets[::-1])):
        await fill(client)
        await client.import_(*rows)
    request = asks(SUBJECT, description=TEXT, min_score=0, limit=2)

    first = ids(await acme.search(request))

    assert len(first) == 2
    assert first == ids(await acme.search(request)) == ids(await globex.search(request))


@pytest.fixture
async def by_meaning(database: TestDatabase, keys: Keys, embedder: EmbedderServer) -> AsyncIterator[Client]:
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        yield Client(stub, keys.metadata("history", tenant="acme"))


@pytest.mark.parametrize(
    ("apart", "grouped"), [(timedelta(hours=5), True), (timedelta(days=30), False), (None, False)]
)
async def test_what_means_nearly_the_same_is_one_incident_only_if_close_in_time(
    by_meaning: Client, database: TestDatabase, apart: timedelta | None, grouped: bool
) -> None:
    later = PastTicket(id="2", title="The VPN tunnel keeps dropping at home")
    if apart is not None:
        later.create_time.FromSeconds(THEN.seconds + int(apart.total_seconds()))
    await by_meaning.import_(
        PastTicket(id="1", title="VPN tunnel keeps dropping at home", create_time=THEN),
        later,
        PastTicket(id="3", title="Printer does not print", create_time=THEN),
    )
    await embedded(database)

    results = await by_meaning.search(asks("VPN tunnel keeps dropping at home"))

    assert len(results) == (1 if grouped else 2)
    assert results[0].duplicate_count == grouped


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("AW: WG: Re: Drucker  druckt nicht", "drucker druckt nicht"),
        ("[Ticket #4711] Printer: offline!", "printer offline"),
        ("Report: nothing arrives", "report nothing arrives"),
        ("[urgent] help", "urgent help"),
        ("Re:", ""),
        ("", ""),
    ],
)
def test_a_title_is_compared_without_what_mail_puts_before_it(title: str, words: str) -> None:
    assert title_words(title) == words
