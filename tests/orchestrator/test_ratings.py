"""A thumb on a citation reaches whoever ranks the document, whatever is down meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from dossier.history.v1.history_service_pb2 import RateTicketRequest
from dossier.knowledge.v1.knowledge_service_pb2 import RateArticleRequest
from dossier.orchestrator.v1 import enhancement_pb2 as enhancement_pb
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.client import SECONDS, Client
from tests.orchestrator.peers import Behaviour, Peers
from tests.orchestrator.world import orchestrating
from tests.support.keys import Keys

TICKET = "history:10241"
ARTICLE = "knowledge:KB-7#intervals"

Rating = RateTicketRequest | RateArticleRequest


def told(behaviour: Behaviour) -> list[tuple[str, Rating]]:
    return [
        (rpc, request)
        for rpc, request in behaviour.calls
        if isinstance(request, (RateTicketRequest, RateArticleRequest))
    ]


async def said(behaviour: Behaviour, count: int) -> list[tuple[str, Rating]]:
    """All ratings, once there are so many."""
    async with asyncio.timeout(SECONDS):
        while len(told(behaviour)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return told(behaviour)


@pytest.fixture
async def brief(acme: Client, peers: Peers) -> enhancement_pb.Enhancement:
    for passage in peers.knowledge.passages:
        passage.article.source = "wiki"
    return await acme.ended(await acme.submit_one("1"))


async def test_a_thumb_reaches_history_with_the_question_it_was_given_on(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    kept = await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True)

    ((tenant, rating),) = await said(peers.history.does, 1)

    assert isinstance(rating, RateTicketRequest)
    assert (tenant, rating.rating_id, rating.revision) == ("acme", kept.id, 1)
    assert (rating.ticket_id, rating.source, rating.helpful) == ("10241", "servicedesk_plus", True)
    assert (rating.subject, rating.description) == ("VPN drops (1)", "VPN at fw-01")


async def test_a_thumb_on_an_article_reaches_knowledge(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    await acme.feedback(enhancement_id=brief.id, evidence_id=ARTICLE, helpful=False)

    ((_, rating),) = await said(peers.knowledge.does, 1)

    assert isinstance(rating, RateArticleRequest)
    assert (rating.article_id, rating.source, rating.helpful) == ("KB-7", "wiki", False)


async def test_a_person_has_one_voice_that_may_change_and_be_taken_back(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    on = {"enhancement_id": brief.id, "evidence_id": TICKET, "author": "Ann"}
    await acme.feedback(helpful=True, **on)
    await said(peers.history.does, 1)
    await acme.feedback(helpful=True, **on)
    await acme.feedback(helpful=False, **on)
    await said(peers.history.does, 2)
    taken_back = await acme.feedback(withdrawn=True, **on)

    ratings = [rating for _, rating in await said(peers.history.does, 3)]

    assert taken_back.withdrawn
    assert len({rating.rating_id for rating in ratings}) == 1
    assert [rating.revision for rating in ratings] == [1, 2, 3]
    assert [rating.helpful if rating.HasField("helpful") else None for rating in ratings] == [
        True,
        False,
        None,
    ]


async def test_two_people_have_two_voices(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    for author in ("Ann", "Ben", ""):
        await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True, author=author)

    ratings = await said(peers.history.does, 3)

    assert len({rating.rating_id for _, rating in ratings}) == 3


async def test_a_request_that_is_repeated_is_one_word(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    on = {"enhancement_id": brief.id, "evidence_id": TICKET}
    await acme.feedback(helpful=True, request_id="click-1", **on)
    await said(peers.history.does, 1)
    await acme.feedback(helpful=False, request_id="click-2", **on)
    await acme.feedback(helpful=True, request_id="click-1", **on)

    ratings = await said(peers.history.does, 2)

    assert [(rating.revision, rating.helpful) for _, rating in ratings] == [(1, True), (2, False)]


@pytest.mark.parametrize(
    "given",
    [
        {"helpful": True},
        {"evidence_id": "network:fw-01", "helpful": True},
        {"evidence_id": TICKET, "rating": 5},
    ],
    ids=["the whole brief", "an asset", "no thumb"],
)
async def test_what_is_no_thumb_on_a_document_moves_nothing(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement, given: dict[str, Any]
) -> None:
    await acme.feedback(enhancement_id=brief.id, **given)
    await acme.feedback(enhancement_id=brief.id, evidence_id=ARTICLE, helpful=True)

    await said(peers.knowledge.does, 1)

    assert told(peers.history.does) == []
    assert len(told(peers.knowledge.does)) == 1


async def test_a_thumb_waits_for_history_that_is_away_and_holds_up_nothing_else(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    await peers.stop("history")
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True)
    await acme.feedback(enhancement_id=brief.id, evidence_id=ARTICLE, helpful=True)
    await said(peers.knowledge.does, 1)

    await peers.start("history")

    assert len(await said(peers.history.does, 1)) == 1


async def test_one_that_failed_is_handed_over_again(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement
) -> None:
    peers.history.does.failures = 2
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True)

    words = await said(peers.history.does, 3)

    assert len({(rating.rating_id, rating.revision) for _, rating in words}) == 1


async def test_one_that_history_cannot_take_holds_up_no_other(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of them there are: here, as many as are looked at in one round."""
    monkeypatch.setattr("services.orchestrator.ratings._AT_ONCE", 1)
    peers.history.does.failing = lambda request: getattr(request, "helpful", None) is True
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True, author="Ann")
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=False, author="Ben")

    async with asyncio.timeout(SECONDS):
        while [rating.helpful for _, rating in told(peers.history.does)].count(True) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    # It is tried again and again, and Ben's reached history once.
    assert [rating.helpful for _, rating in told(peers.history.does)].count(False) == 1


async def test_one_that_history_never_answers_holds_up_no_other(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.ratings._FIRST_POSTPONED_SECONDS", 3600.0)
    peers.history.does.hanging = lambda request: getattr(request, "helpful", None) is True
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True, author="Ann")
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=False, author="Ben")

    words = await said(peers.history.does, 2)

    assert [rating.helpful for _, rating in words] == [True, False]


async def test_who_changes_a_word_that_history_cannot_take_does_not_wait_for_it(
    acme: Client, peers: Peers, brief: enhancement_pb.Enhancement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.ratings._IDLE_SECONDS", 0.05)
    monkeypatch.setattr("services.orchestrator.ratings._FIRST_POSTPONED_SECONDS", 3600.0)
    peers.history.does.failing = lambda request: getattr(request, "helpful", None) is True
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True, author="Ann")
    await said(peers.history.does, 1)
    await acme.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=False, author="Ann")

    words = await said(peers.history.does, 2)

    assert [(rating.helpful, rating.revision) for _, rating in words] == [(True, 1), (False, 2)]


async def test_a_thumb_survives_the_orchestrator(
    settings: OrchestratorSettings, keys: Keys, peers: Peers
) -> None:
    async with orchestrating(settings, keys) as before:
        client = before.client("acme")
        brief = await client.ended(await client.submit_one("1"))
        await peers.stop("history")
        await client.feedback(enhancement_id=brief.id, evidence_id=TICKET, helpful=True)
    await peers.start("history")

    async with orchestrating(settings, keys):
        assert len(await said(peers.history.does, 1)) == 1


@pytest.mark.parametrize(
    "given",
    [
        lambda brief: {"enhancement_id": brief.id, "withdrawn": True},
        lambda brief: {"enhancement_id": brief.id, "evidence_id": TICKET, "withdrawn": True, "helpful": True},
        lambda brief: {"enhancement_id": brief.id},
    ],
    ids=["of no citation", "with a thumb", "nothing at all"],
)
async def test_a_withdrawal_that_makes_no_sense_is_refused(
    acme: Client,
    brief: enhancement_pb.Enhancement,
    given: Callable[[enhancement_pb.Enhancement], dict[str, Any]],
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await acme.feedback(**given(brief))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
