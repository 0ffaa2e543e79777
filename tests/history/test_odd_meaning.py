"""Whatever a reporter pastes, there is an answer with meaning compared, too."""

import time
from collections.abc import AsyncIterator

import grpc
import pytest

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client
from tests.history.conftest import running_history, settings_for
from tests.history.test_meaning import embedded
from tests.history.test_odd_input import DEADLINE_SECONDS, GREETINGS, ODD
from tests.history.test_similar import asks
from tests.support.databases import TestDatabase
from tests.support.embedder import EmbedderServer
from tests.support.keys import Keys

SUBJECT = "Label printer prints empty labels"
THREAD = """The ribbon was changed in the cold store this morning.

On Wed, Dec 20, 2023 at 13:37, Bob Jones <bob@acme.example> wrote:
> The VPN tunnel drops when I work from home, remote access is lost every hour.
> Please look at the VPN tunnel and the remote access again, it drops and drops.
"""


@pytest.fixture
async def acme(database: TestDatabase, keys: Keys, embedder: EmbedderServer) -> AsyncIterator[Client]:
    """Words and meaning are compared."""
    async with running_history(settings_for(database, keys, **embedder.settings)) as stub:
        yield Client(stub, keys.metadata("history", tenant="acme"))


@pytest.fixture
async def filled(acme: Client, database: TestDatabase) -> Client:
    rows = [
        PastTicket(id=f"odd-{at}", title=text[:200].strip(" \t\n\u00a0\0") or "-", description=text)
        for at, text in enumerate(ODD.values())
    ]
    await acme.stream(pb.ImportTicketsRequest(tickets=[row]) for row in rows)
    await embedded(database, seconds=60)
    return acme


async def test_odd_texts_are_embedded_and_answered_in_bounded_time(filled: Client) -> None:
    compared = 0
    for name, text in ODD.items():
        request = pb.SearchSimilarTicketsRequest(
            subject=text[:4096].encode()[:4096].decode(errors="ignore"), description=text, min_score=0
        )
        started = time.monotonic()
        response = await filled.stub.SearchSimilarTickets(
            request, metadata=filled.metadata, timeout=DEADLINE_SECONDS
        )
        assert time.monotonic() - started < DEADLINE_SECONDS / 2, name
        assert all(0 <= result.score <= 1 for result in response.results), name
        compared += any(result.explanation.HasField("semantic_score") for result in response.results)

    assert compared > len(ODD) * 0.9


async def test_each_language_finds_its_own_ticket(filled: Client) -> None:
    ids = {text: f"odd-{at}" for at, text in enumerate(ODD.values())}

    missed = [text for text in GREETINGS if ids[text] not in (await filled.found(text))[:1]]

    assert missed == []


@pytest.mark.parametrize("text", ["the and of it is not", "?!… --", "1234567890 987654321"])
async def test_what_says_nothing_finds_no_real_ticket(
    acme: Client, database: TestDatabase, text: str
) -> None:
    await acme.import_(
        PastTicket(id="label", title=SUBJECT, description="Ribbon changed in the cold store"),
        PastTicket(id="vpn", title="VPN tunnel drops", description="Remote access from home is lost"),
    )
    await embedded(database)

    assert await acme.found(text) == []


async def test_no_text_at_all_is_refused(acme: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await acme.search(asks(""))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "subject or description must not be empty" in (refused.value.details() or "")


async def test_the_quoted_thread_of_a_mail_does_not_decide_what_is_found(
    acme: Client, database: TestDatabase
) -> None:
    await acme.import_(
        PastTicket(
            id="vpn", title="VPN tunnel drops at home", description="Remote access is lost every hour"
        ),
        PastTicket(id="label", title=SUBJECT, description="Ribbon changed in the cold store"),
        PastTicket(id="mail", title="Outlook asks for credentials", description="Sign-in every minute"),
    )
    await embedded(database)

    results = await acme.search(asks("Empty labels", description=THREAD))

    assert [result.ticket.id for result in results] == ["label"]
    assert results[0].explanation.HasField("semantic_score")
    assert "VPN" not in results[0].explanation.matched_terms
