"""What people think of a ticket moves it, for questions like the one they judged, and back."""

import grpc
import pytest

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client
from tests.history.test_similar import asks, fill

QUESTION = "Label printer prints empty labels"
BETTER = PastTicket(id="better", source="desk", title="Label printer prints empty labels since Monday")
WORSE = PastTicket(id="worse", source="desk", title="Label printer prints empty labels since the move in May")


async def rate(client: Client, ticket: PastTicket, **more: object) -> bool:
    fields: dict[str, object] = {"rating_id": "r-1", "revision": 1, "subject": QUESTION, **more}
    request = pb.RateTicketRequest(ticket_id=ticket.id, source=ticket.source, **fields)  # type: ignore[arg-type]
    return (await client.stub.RateTicket(request, metadata=client.metadata)).applied


async def order(client: Client, question: str = QUESTION) -> list[tuple[str, list[str], float]]:
    found = await client.search(asks(question))
    return [(each.ticket.id, list(each.explanation.boosts), each.score) for each in found]


@pytest.fixture
async def clients(acme: Client, globex: Client) -> tuple[Client, Client]:
    for client in (acme, globex):
        await fill(client)
        await client.import_(BETTER, WORSE)
    return acme, globex


async def test_thumbs_turn_the_order_around_and_taken_back_leave_it_exactly_as_it_was(
    clients: tuple[Client, Client],
) -> None:
    acme, globex = clients
    before = await order(acme)
    assert [each[0] for each in before] == ["better", "worse"]

    assert await rate(acme, BETTER, rating_id="r-1", helpful=False)
    assert await rate(acme, WORSE, rating_id="r-2", helpful=True)
    judged = await order(acme)

    assert [(each[0], each[1]) for each in judged] == [
        ("worse", ["rated_helpful"]),
        ("better", ["rated_unhelpful"]),
    ]
    assert await order(globex) == before

    assert await rate(acme, BETTER, rating_id="r-1", revision=2)
    assert await rate(acme, WORSE, rating_id="r-2", revision=2)
    assert await order(acme) == before


async def test_whoever_changes_their_mind_is_heard_once(clients: tuple[Client, Client]) -> None:
    acme, _ = clients
    (_, _, before), *_ = await order(acme)

    await rate(acme, BETTER, helpful=True)
    (_, _, raised), *_ = await order(acme)
    await rate(acme, BETTER, helpful=False, revision=2)
    lowered = {each[0]: each[2] for each in await order(acme)}["better"]

    assert raised > before > lowered
    assert raised - before == pytest.approx(before - lowered)


async def test_what_arrives_again_or_late_changes_nothing(clients: tuple[Client, Client]) -> None:
    acme, _ = clients
    assert await rate(acme, BETTER, helpful=True, revision=3)
    once = await order(acme)

    assert not await rate(acme, BETTER, helpful=True, revision=3)
    assert not await rate(acme, BETTER, helpful=False, revision=2)
    assert await order(acme) == once

    assert await rate(acme, BETTER, revision=4)
    assert not await rate(acme, BETTER, helpful=True, revision=3)
    assert {tuple(each[1]) for each in await order(acme)} == {()}


async def test_a_question_unlike_the_judged_one_is_not_moved(clients: tuple[Client, Client]) -> None:
    acme, _ = clients
    await rate(acme, BETTER, helpful=False, subject="Badge reader at the back door is dead")

    assert {tuple(each[1]) for each in await order(acme)} == {()}


async def test_a_crowd_moves_a_ticket_by_no_more_than_the_bound(clients: tuple[Client, Client]) -> None:
    acme, _ = clients
    (_, _, before), *_ = await order(acme)
    for number in range(60):
        await rate(acme, BETTER, rating_id=f"r-{number}", helpful=True)

    (ticket, boosts, after), *_ = await order(acme)

    assert (ticket, boosts) == ("better", ["rated_helpful"])
    assert 1.12 < after / before <= 1.15


async def test_ratings_go_with_their_ticket_and_stay_with_one_that_changes(
    clients: tuple[Client, Client],
) -> None:
    acme, _ = clients
    await rate(acme, BETTER, helpful=True)
    await acme.record(PastTicket(id="better", source="desk", title=BETTER.title, status="Closed"))
    (_, boosts, _), *_ = await order(acme)
    assert boosts == ["rated_helpful"]

    await acme.delete("better")
    await acme.record(BETTER)
    assert {tuple(each[1]) for each in await order(acme)} == {()}


async def test_a_ticket_that_is_not_there_is_not_rated(clients: tuple[Client, Client]) -> None:
    acme, _ = clients

    assert not await rate(acme, PastTicket(id="gone", source="desk"), helpful=True)
    assert not await rate(acme, PastTicket(id="better", source="jira"), helpful=True)


@pytest.mark.parametrize(
    "broken", [{"rating_id": ""}, {"revision": 0}, {"subject": "x" * 4097}], ids=lambda each: next(iter(each))
)
async def test_a_rating_that_breaks_a_rule_is_refused(
    clients: tuple[Client, Client], broken: dict[str, object]
) -> None:
    acme, _ = clients
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rate(acme, BETTER, helpful=True, **broken)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert next(iter(broken)) in (refused.value.details() or "")
