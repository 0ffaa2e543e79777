"""What is accepted, and as what."""

import asyncio

import grpc
import pytest

from cli.standins.servicedesk_plus import ServiceDesk
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from services.runtime.errors import error_info
from tests.orchestrator.client import Client, submission
from tests.orchestrator.peers import Peers


async def test_ten_redeliveries_at_once_are_one_enhancement_and_one_note(
    acme: Client, desk: ServiceDesk
) -> None:
    same = submission("1", delivery_id="delivery-1", revision="r1")

    answers = await asyncio.gather(*(acme.submit(same) for _ in range(10)))

    results = [result for (result,) in answers]
    assert len({result.enhancement_id for result in results}) == 1
    assert sum(result.created for result in results) == 1
    await acme.ended(results[0].enhancement_id)
    (later,) = await acme.submit(same)
    assert (later.enhancement_id, later.created) == (results[0].enhancement_id, False)
    assert len(desk.requests["1"].notes) == 1


async def test_a_delivery_is_known_by_its_id_and_by_the_state_it_tells_of(acme: Client) -> None:
    (first,) = await acme.submit(submission("1", delivery_id="d1", revision="r1"))

    (same_delivery, same_state, new_state, other_ticket) = await acme.submit(
        submission("1", delivery_id="d1", revision="r2"),
        submission("1", delivery_id="d2", revision="r1"),
        submission("1", delivery_id="d3", revision="r3"),
        submission("2", delivery_id="d4", revision="r1"),
    )

    assert same_delivery.enhancement_id == same_state.enhancement_id == first.enhancement_id
    assert not same_delivery.created
    assert not same_state.created
    assert new_state.created
    assert other_ticket.created


async def test_a_batch_is_answered_in_its_order_across_tenants_and_with_doubles_inside(
    acme: Client, globex: Client
) -> None:
    one = submission("9", revision="r1")
    theirs = submission("9", tenant="globex", revision="r1")

    results = await acme.submit(theirs, one, submission("8"), one, theirs)

    assert [result.created for result in results] == [True, True, True, False, False]
    assert results[0].enhancement_id == results[4].enhancement_id
    assert results[1].enhancement_id == results[3].enhancement_id
    assert len({result.enhancement_id for result in results}) == 3
    ids = [each.enhancement_id for each in results[:3]]
    assert [
        (await client.get(each)).id for client, each in zip([globex, acme, acme], ids, strict=True)
    ] == ids


async def test_a_resolution_is_recorded_beside_the_enhancement_of_the_same_state(
    acme: Client, peers: Peers
) -> None:
    enhanced, recorded = await acme.submit(
        submission("1", revision="r1"), submission("1", revision="r1", resolved=True)
    )

    assert recorded.created
    assert recorded.enhancement_id != enhanced.enhancement_id
    await acme.ended(recorded.enhancement_id)
    assert [ticket.id for ticket in peers.history.recorded] == ["1"]


async def test_batches_that_share_tickets_in_any_order_do_not_stand_in_each_others_way(acme: Client) -> None:
    shared = [submission(str(number), revision="same") for number in range(1, 401)]
    batches = [shared, shared[::-1]] * 6

    answers = await asyncio.gather(*(acme.submit(*batch) for batch in batches))

    assert sum(result.created for results in answers for result in results) == 400
    by_ticket = {
        (each.ticket.id, result.enhancement_id)
        for batch, results in zip(batches, answers, strict=True)
        for each, result in zip(batch, results, strict=True)
    }
    assert len(by_ticket) == 400


async def test_an_odd_key_of_one_tenant_does_not_refuse_the_batch(acme: Client) -> None:
    odd, plain = await acme.submit(submission("1", delivery_id="a\x00b"), submission("2"))

    assert odd.created
    assert plain.created


@pytest.mark.parametrize(("subject", "role"), [("synthesis", "service"), ("gateway", "admin")])
async def test_only_the_gateway_itself_submits(acme: Client, subject: str, role: str) -> None:
    request = pb.SubmitEnhancementsRequest(submissions=[submission("1")])

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await acme.stub.SubmitEnhancements(request, metadata=acme.acting(role, subject=subject))

    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert (info := error_info(refused.value)) is not None
    assert info.reason == "ROLE_REQUIRED"
    assert list((await acme.page()).enhancements) == []


async def test_a_viewer_asks_for_nothing(acme: Client) -> None:
    request = pb.CreateEnhancementRequest(ticket=submission("1").ticket)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await acme.stub.CreateEnhancement(request, metadata=acme.acting("viewer"))

    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
