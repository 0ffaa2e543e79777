"""Reading, listing, watching, feedback; and that one tenant sees nothing of another's."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from dossier.orchestrator.v1 import enhancement_pb2 as pb
from services.runtime.errors import error_info
from tests.orchestrator.client import Client, submission
from tests.orchestrator.peers import Peers


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_info(refused.value)
    assert info is not None
    assert info.domain == "orchestrator.dossier"
    return refused.value.code(), info.reason


async def test_an_unknown_enhancement_is_not_found(acme: Client) -> None:
    assert await refusal(acme.get("nothing")) == (grpc.StatusCode.NOT_FOUND, "ENHANCEMENT_NOT_FOUND")


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, each: client.get(each),
        lambda client, each: anext(client.watch(each)),
        lambda client, each: client.feedback(enhancement_id=each, helpful=True),
    ],
    ids=["GetEnhancement", "WatchEnhancement", "SubmitFeedback"],
)
async def test_another_tenants_enhancement_is_not_found(
    acme: Client, globex: Client, ask: Callable[[Client, str], Awaitable[object]]
) -> None:
    enhancement_id = await acme.submit_one("1")

    assert await refusal(ask(globex, enhancement_id)) == (
        grpc.StatusCode.NOT_FOUND,
        "ENHANCEMENT_NOT_FOUND",
    )
    assert list((await globex.page()).enhancements) == []
    assert [each.id for each in (await acme.page()).enhancements] == [enhancement_id]


async def test_the_list_goes_back_page_by_page_from_the_latest(acme: Client) -> None:
    results = await acme.submit(*(submission(str(number)) for number in range(1, 8)))
    latest_first = [result.enhancement_id for result in reversed(results)]

    seen, token = [], ""
    for _ in range(3):
        page = await acme.page(page_size=3, page_token=token)
        seen += [each.id for each in page.enhancements]
        token = page.next_page_token

    assert seen == latest_first
    assert token == ""


async def test_the_list_is_narrowed_by_ticket_and_by_state(acme: Client) -> None:
    first, gone = await acme.submit_one("1"), await acme.submit_one("404")
    await acme.ended(first)
    await acme.ended(gone)

    failed = await acme.page(state=pb.ENHANCEMENT_STATE_FAILED)
    of_ticket = await acme.page(ticket_id="1")

    assert [each.id for each in failed.enhancements] == [gone]
    assert [each.id for each in of_ticket.enhancements] == [first]
    (listed,) = of_ticket.enhancements
    assert listed.cost == 0.002
    assert len(listed.steps) == 6
    assert not listed.HasField("brief")
    assert list(listed.evidence) == []


async def test_a_page_token_of_another_filter_is_refused(acme: Client) -> None:
    await acme.submit(submission("1"), submission("2"))
    token = (await acme.page(page_size=1)).next_page_token

    code, _ = await refusal(acme.page(page_size=1, page_token=token, ticket_id="1"))

    assert code == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_shows_every_stage_and_ends_with_the_run(acme: Client, peers: Peers) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")

    seen = []
    async for each in acme.watch(enhancement_id):
        seen.append(each)
        if each.steps and each.steps[-1].name == "synthesize":
            peers.synthesis.does.hold.set()

    assert pb.ENHANCEMENT_STATE_RUNNING in {each.state for each in seen}
    assert seen[-1].state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert seen[-1] == await acme.get(enhancement_id)


async def test_a_watch_of_what_has_ended_shows_it_once(acme: Client) -> None:
    enhancement_id = await acme.submit_one("1")
    ended = await acme.ended(enhancement_id)

    assert [each async for each in acme.watch(enhancement_id)] == [ended]


async def test_feedback_is_kept_once_for_a_request(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("1"))
    citation = ended.brief.citations[0].evidence_id

    given = {"enhancement_id": ended.id, "evidence_id": citation, "helpful": False, "rating": 2}
    first = await acme.feedback(request_id="click-1", comment="too old", **given)
    again = await acme.feedback(request_id="click-1", comment="too old", **given)
    other = await acme.feedback(request_id="click-2", **given)

    assert again == first
    assert (first.helpful, first.rating, first.comment) == (False, 2, "too old")
    assert other.id != first.id


async def test_feedback_on_what_was_not_cited_is_refused(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("1"))

    feedback = acme.feedback(enhancement_id=ended.id, evidence_id="history:none", helpful=True)

    assert await refusal(feedback) == (grpc.StatusCode.NOT_FOUND, "CITATION_NOT_FOUND")
