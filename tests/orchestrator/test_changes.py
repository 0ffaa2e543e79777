"""Changes of tickets that are known: one brief of the latest state, and none where nothing changed."""

import asyncio

import pytest

from cli.standins.servicedesk_plus import Fault, ServiceDesk
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1 import orchestrator_service_pb2 as service_pb
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from tests.orchestrator.client import Client, submission
from tests.orchestrator.peers import Peers


def change(
    description: str,
    *,
    ticket_id: str = "1",
    tenant: str = "acme",
    revision: str | None = None,
    **fields: object,
) -> service_pb.Submission:
    ticket = Ticket(id=ticket_id, tool="servicedesk_plus", subject="VPN drops", description=description)
    if revision is not None:
        fields["revision"] = revision
    return submission(ticket_id, tenant=tenant, ticket=ticket, is_update=True, **fields)


def hint() -> service_pb.Submission:
    return submission("1", ticket=Ticket(id="1", tool="servicedesk_plus"), is_update=True, is_hint=True)


def written_about(peers: Peers) -> list[str]:
    """The descriptions of which briefs were asked for, in order."""
    requests = [request for _, request in peers.synthesis.does.calls]
    return [request.ticket.description for request in requests if isinstance(request, WriteBriefRequest)]


@pytest.fixture
def unread(peers: Peers) -> None:
    """No address of the tool: the webhooks' words are all there is."""
    peers.tenants.base_urls = {}


@pytest.mark.usefixtures("unread")
async def test_five_changes_within_a_moment_make_one_brief_of_the_last(acme: Client, peers: Peers) -> None:
    results = [(await acme.submit(change(f"state {number}")))[0] for number in range(1, 6)]

    assert [each.created for each in results] == [True, False, False, False, False]
    assert len({each.enhancement_id for each in results}) == 1
    ended = await acme.ended(results[0].enhancement_id)
    assert ended.ticket.description == "state 5"
    assert ended.changes_taken_in == 4
    assert written_about(peers) == ["state 5"]


@pytest.mark.usefixtures("unread")
async def test_changes_in_one_batch_are_taken_in_too(acme: Client) -> None:
    results = await acme.submit(*(change(f"state {number}") for number in range(1, 6)))

    assert len({each.enhancement_id for each in results}) == 1
    assert sum(each.created for each in results) == 1
    assert (await acme.ended(results[0].enhancement_id)).ticket.description == "state 5"


@pytest.mark.usefixtures("unread")
async def test_changes_at_once_are_one_enhancement(acme: Client) -> None:
    answers = await asyncio.gather(*(acme.submit(change(f"state {number}")) for number in range(8)))

    assert len({result.enhancement_id for (result,) in answers}) == 1


@pytest.mark.usefixtures("unread")
async def test_a_change_before_delivery_has_the_brief_written_again_and_posted_once(
    acme: Client, peers: Peers
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")

    (taken_in,) = await acme.submit(change("quite another problem"))
    assert (taken_in.enhancement_id, taken_in.created) == (enhancement_id, False)
    peers.synthesis.does.hold.set()
    ended = await acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert ended.ticket.description == "quite another problem"
    assert written_about(peers) == ["The VPN at fw-01 drops.", "quite another problem"]
    assert set(peers.synthesis.bought.values()) == {1}


@pytest.mark.usefixtures("unread")
async def test_a_change_while_a_run_waits_for_another_try_is_gathered_before_that(
    acme: Client, peers: Peers
) -> None:
    peers.synthesis.does.failures = 1
    enhancement_id = await acme.submit_one("1")
    async for seen in acme.watch(enhancement_id):
        if seen.HasField("next_attempt_time"):
            break

    (taken_in,) = await acme.submit(change("quite another problem"))
    ended = await acme.ended(enhancement_id)

    assert taken_in.enhancement_id == enhancement_id
    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert written_about(peers) == ["The VPN at fw-01 drops.", "quite another problem"]
    assert len(peers.history.does.calls) == 2


async def test_a_change_taken_in_while_running_posts_one_note(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")
    await acme.submit(change("quite another problem"))
    peers.synthesis.does.hold.set()
    await acme.ended(enhancement_id)

    assert len(desk.requests["1"].notes) == 1
    # Read from the tool again, since it is the tool that knows.
    assert desk.calls.count("GET", "/requests/1") == 2


@pytest.mark.usefixtures("unread")
async def test_a_change_after_delivery_is_work_of_its_own(acme: Client) -> None:
    first = await acme.ended(await acme.submit_one("1"))

    (later,) = await acme.submit(change("it burns now"))

    assert later.created
    assert later.enhancement_id != first.id
    assert (await acme.ended(later.enhancement_id)).ticket.description == "it burns now"


async def test_a_change_that_leaves_the_content_alone_makes_nothing(acme: Client, desk: ServiceDesk) -> None:
    """As the webhook does that our own note brings about."""
    (first,) = await acme.submit(submission("1"))
    await acme.ended(first.enhancement_id)
    same = submission("1").ticket
    same.status = "In Progress"

    (answer,) = await acme.submit(submission("1", ticket=same, is_update=True))

    assert (answer.enhancement_id, answer.created) == (first.enhancement_id, False)
    assert len((await acme.page()).enhancements) == 1
    assert len(desk.requests["1"].notes) == 1


async def test_a_hint_at_nothing_new_ends_without_a_brief(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    first = await acme.ended(await acme.submit_one("1"))

    (hinted,) = await acme.submit(hint())
    ended = await acme.ended(hinted.enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert [step.detail for step in ended.steps] == [f"nothing has changed since enhancement {first.id}"]
    assert len(peers.synthesis.does.calls) == 1
    assert len(desk.requests["1"].notes) == 1


async def test_a_hint_during_a_run_at_what_is_read_the_same_buys_nothing_again(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")

    (hinted,) = await acme.submit(hint())
    peers.synthesis.does.hold.set()
    ended = await acme.ended(enhancement_id)

    assert hinted.enhancement_id == enhancement_id
    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert len(peers.synthesis.does.calls) == len(peers.history.does.calls) == 1
    assert desk.calls.count("GET", "/requests/1") == 2
    assert len(desk.requests["1"].notes) == 1


async def test_a_hint_after_an_answer_that_got_lost_buys_nothing_again(acme: Client, peers: Peers) -> None:
    # Recorded there, and not heard of here.
    peers.synthesis.does.failures = 1
    enhancement_id = await acme.submit_one("1")
    async for seen in acme.watch(enhancement_id):
        if seen.HasField("next_attempt_time"):
            break

    (taken_in,) = await acme.submit(hint())
    ended = await acme.ended(enhancement_id)

    assert taken_in.enhancement_id == enhancement_id
    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert peers.synthesis.bought_for() == {enhancement_id: 1}


async def test_a_hint_at_our_note_whose_reply_is_long_in_coming_posts_no_other(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="slow", count=1, seconds=2, method="POST", path="/notes"))
    first = await acme.submit_one("1")
    await acme.reached(first, "deliver")

    (about_it,) = await acme.submit(hint())
    ended = await acme.ended(about_it.enhancement_id)
    await acme.ended(first)

    assert about_it.enhancement_id != first
    assert [step.detail for step in ended.steps] == [f"nothing has changed since enhancement {first}"]
    assert len(desk.requests["1"].notes) == 1
    assert peers.synthesis.bought_for() == {first: 1}


@pytest.mark.parametrize("order", ["in one batch", "slowly, in one batch", "the update first"])
async def test_a_ticket_that_a_rule_changes_at_its_creation_has_one_note(
    order: str, acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    created = submission("1")
    updated = change("VPN at fw-01")
    match order:
        case "in one batch":
            results = await acme.submit(created, updated)
        case "slowly, in one batch":
            peers.history.does.seconds = 1.5
            results = await acme.submit(created, updated)
        case _:
            results = await acme.submit(updated)
            await acme.ended(results[0].enhancement_id)
            results += await acme.submit(created)
    ended = [await acme.ended(each.enhancement_id) for each in results]

    assert {each.state for each in ended} == {pb.ENHANCEMENT_STATE_SUCCEEDED}
    assert len(desk.requests["1"].notes) == 1
    assert sum(peers.synthesis.bought.values()) == 1


async def test_the_third_hint_at_nothing_new_makes_nothing_either(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    await acme.ended(await acme.submit_one("1"))
    for _ in range(2):
        (result,) = await acme.submit(hint())
        await acme.ended(result.enhancement_id)

    assert len(desk.requests["1"].notes) == 1
    assert sum(peers.synthesis.bought.values()) == 1


@pytest.mark.usefixtures("unread")
async def test_back_to_what_it_was_is_a_change_too(acme: Client, peers: Peers) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    (first,) = await acme.submit(change("as it was"))
    await acme.reached(first.enhancement_id, "synthesize")

    for said in ("quite another problem", "as it was"):
        (taken_in,) = await acme.submit(change(said))
        assert taken_in.enhancement_id == first.enhancement_id
    peers.synthesis.does.hold.set()
    ended = await acme.ended(first.enhancement_id)

    assert ended.ticket.description == "as it was"
    assert set(peers.synthesis.bought.values()) == {1}


@pytest.mark.usefixtures("unread")
async def test_a_change_before_a_retry_begins_is_in_its_brief(acme: Client, peers: Peers) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")
    cancelling = service_pb.CancelEnhancementRequest(enhancement_id=enhancement_id)
    await acme.stub.CancelEnhancement(cancelling, metadata=acme.acting())
    operator = acme.acting("operator")
    await acme.stub.PauseQueue(service_pb.PauseQueueRequest(), metadata=operator)
    retrying = service_pb.RetryEnhancementRequest(enhancement_id=enhancement_id)
    await acme.stub.RetryEnhancement(retrying, metadata=acme.acting())

    await acme.submit(change("quite another problem"))
    peers.synthesis.does.hold.set()
    await acme.stub.ResumeQueue(service_pb.ResumeQueueRequest(), metadata=operator)
    ended = await acme.ended(enhancement_id)

    assert ended.ticket.description == "quite another problem"
    assert written_about(peers)[-1] == "quite another problem"


async def test_a_brief_by_hand_takes_no_change_from_the_one_that_is_posted(
    acme: Client, desk: ServiceDesk
) -> None:
    ticket = Ticket(id="1", tool="servicedesk_plus", subject="VPN drops", description="by hand")
    by_hand = await acme.create(service_pb.CreateEnhancementRequest(ticket=ticket))
    await acme.ended(by_hand.id)

    (changed,) = await acme.submit(change("by hand"))
    await acme.ended(changed.enhancement_id)

    assert changed.created
    assert len(desk.requests["1"].notes) == 1


async def test_a_redelivered_change_is_known_however_late(acme: Client) -> None:
    (first,) = await acme.submit(submission("1"))
    (taken,) = await acme.submit(change("more", revision="r-more", delivery_id="d-more"))
    await acme.ended(taken.enhancement_id)

    by_state, by_delivery = await acme.submit(
        change("more", revision="r-more", delivery_id="d-other"),
        change("something else", revision="r-else", delivery_id="d-more"),
    )

    assert {by_state.enhancement_id, by_delivery.enhancement_id} == {taken.enhancement_id}
    assert not by_state.created
    assert not by_delivery.created
    assert first.enhancement_id


@pytest.mark.usefixtures("unread")
async def test_changes_of_other_tickets_and_tenants_stay_apart(acme: Client, globex: Client) -> None:
    one, other, theirs = await acme.submit(
        change("a"), change("b", ticket_id="2"), change("c", tenant="globex")
    )

    assert len({one.enhancement_id, other.enhancement_id, theirs.enhancement_id}) == 3
    assert one.created
    assert other.created
    assert theirs.created
    assert (await globex.ended(theirs.enhancement_id)).ticket.description == "c"
    assert (await acme.ended(one.enhancement_id)).ticket.description == "a"


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("Urgent", 1),
        ("P1", 1),
        ("1 - Critical", 1),
        ("High", 2),
        ("Priority 2", 2),
        ("", 3),
        ("whatever", 3),
        ("Normal", 3),
        ("Low", 4),
        ("5", 5),
    ],
)
async def test_the_tools_word_for_a_priority_is_understood(acme: Client, said: str, level: int) -> None:
    ticket = submission("1").ticket
    ticket.priority = said

    enhancement_id = (await acme.submit(submission("1", ticket=ticket)))[0].enhancement_id

    assert (await acme.get(enhancement_id)).priority == level
