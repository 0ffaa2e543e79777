"""What a person does to runs: cancelling, trying again, replaying, pausing."""

import asyncio
from collections.abc import Awaitable

import grpc
import pytest

from cli.standins.servicedesk_plus import ServiceDesk
from cli.standins.servicedesk_plus.faults import Fault
from dossier.orchestrator.v1 import enhancement_pb2 as enhancement_pb
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1 import queue_pb2
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from services.runtime.errors import error_info
from tests.orchestrator.client import SECONDS, Client, submission
from tests.orchestrator.peers import Peers
from tests.support.keys import Keys

Enhancement = enhancement_pb.Enhancement
FAILED, SUCCEEDED, CANCELLED = (
    enhancement_pb.ENHANCEMENT_STATE_FAILED,
    enhancement_pb.ENHANCEMENT_STATE_SUCCEEDED,
    enhancement_pb.ENHANCEMENT_STATE_CANCELLED,
)


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_info(refused.value)
    return refused.value.code(), info.reason if info is not None else ""


async def cancel(client: Client, enhancement_id: str, *, role: str = "technician") -> Enhancement:
    request = pb.CancelEnhancementRequest(enhancement_id=enhancement_id)
    return (await client.stub.CancelEnhancement(request, metadata=client.acting(role))).enhancement


async def retry(client: Client, enhancement_id: str, *, role: str = "technician") -> Enhancement:
    request = pb.RetryEnhancementRequest(enhancement_id=enhancement_id)
    return (await client.stub.RetryEnhancement(request, metadata=client.acting(role))).enhancement


async def replay(client: Client, enhancement_id: str, **fields: object) -> Enhancement:
    request = pb.ReplayEnhancementRequest(enhancement_id=enhancement_id, **fields)  # type: ignore[arg-type]
    return (await client.stub.ReplayEnhancement(request, metadata=client.acting())).enhancement


async def failed_for_good(client: Client) -> Enhancement:
    """The tool has no such ticket."""
    ended = await client.ended(await client.submit_one("404"))
    assert ended.state == FAILED
    return ended


async def test_a_run_in_progress_is_cancelled_and_does_nothing_more(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")

    cancelled = await cancel(acme, enhancement_id)

    assert cancelled.state == CANCELLED
    assert cancelled.HasField("end_time")
    assert {step.name: step.detail for step in cancelled.steps}["synthesize"] == "cancelled"
    peers.synthesis.does.hold.set()
    # What comes after it in the queue is made; of this one nothing more is kept, and nothing is posted.
    await acme.ended(await acme.submit_one("2"))
    after = await acme.get(enhancement_id)
    assert (after.state, after.HasField("brief")) == (CANCELLED, False)
    assert desk.requests["1"].notes == []


async def test_a_queued_run_is_cancelled_and_never_begins(acme: Client, peers: Peers) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    many = await acme.submit(*(submission(str(number)) for number in range(1, 7)))
    waiting = many[-1].enhancement_id

    assert (await cancel(acme, waiting)).state == CANCELLED
    assert (await cancel(acme, waiting)).state == CANCELLED

    peers.synthesis.does.hold.set()
    for each in many[:-1]:
        await acme.ended(each.enhancement_id)
    assert list((await acme.get(waiting)).steps) == []


async def test_what_has_ended_is_not_cancelled(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("1"))

    assert await refusal(cancel(acme, ended.id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENHANCEMENT_ENDED",
    )


async def test_a_failed_run_is_tried_again_from_the_step_that_failed(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="forbidden", method="POST", path="/notes"))
    failed = await acme.ended(await acme.submit_one("1"))
    assert (failed.state, failed.failure.step, failed.failure.reason) == (FAILED, "deliver", "TOOL_REJECTED")

    again = await retry(acme, failed.id)
    assert again.id == failed.id
    assert not again.HasField("failure")
    ended = await acme.ended(failed.id)

    assert ended.state == SUCCEEDED
    assert len(peers.synthesis.does.calls) == len(peers.history.does.calls) == 1
    assert len(desk.requests["1"].notes) == 1
    assert {step.name: step.attempt for step in ended.steps}["deliver"] == 2


async def test_a_cancelled_run_is_tried_again_and_one_that_succeeded_is_not(
    acme: Client, peers: Peers
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "synthesize")
    await cancel(acme, enhancement_id)
    peers.synthesis.does.hold.set()

    await retry(acme, enhancement_id)
    assert (await acme.ended(enhancement_id)).state == SUCCEEDED

    assert await refusal(retry(acme, enhancement_id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENHANCEMENT_ENDED",
    )


async def test_failures_of_one_reason_are_tried_again_together(
    acme: Client, globex: Client, desk: ServiceDesk
) -> None:
    missing = [await failed_for_good(acme), await failed_for_good(acme)]
    theirs = await failed_for_good(globex)
    desk.faults.inject(Fault(kind="forbidden", method="POST", path="/notes"))
    refused = await acme.ended(await acme.submit_one("1"))

    async def ask(**fields: object) -> tuple[int, int]:
        request = pb.RetryFailedEnhancementsRequest(**fields)  # type: ignore[arg-type]
        response = await acme.stub.RetryFailedEnhancements(request, metadata=acme.acting())
        return response.retried, response.remaining

    assert await ask(dry_run=True) == (3, 0)
    assert await ask(reason="TOOL_REJECTED", dry_run=True) == (1, 0)
    assert await ask(reason="TOOL_REJECTED") == (1, 0)
    assert (await acme.ended(refused.id)).state == SUCCEEDED
    assert await ask(limit=1) == (1, 1)
    assert (await acme.ended(missing[0].id)).state == FAILED
    assert (await globex.get(theirs.id)).end_time == theirs.end_time


async def test_a_replay_writes_from_the_same_inputs_and_posts_nothing(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    first = await acme.ended(await acme.submit_one("1"))
    peers.history.past["acme"] = []

    started = await replay(acme, first.id, model="other-model", instructions="Be brief.", request_id="again")
    ended = await acme.ended(started.id)
    twice = await replay(acme, first.id, model="other-model", instructions="Be brief.", request_id="again")

    assert ended.state == SUCCEEDED
    assert (ended.replay_of, twice.id) == (first.id, ended.id)
    assert ended.id != first.id
    assert [each.id for each in ended.evidence] == [each.id for each in first.evidence]
    requests = [
        request for _, request in peers.synthesis.does.calls if isinstance(request, WriteBriefRequest)
    ]
    assert [(each.options.model, each.options.instructions) for each in requests] == [
        ("", ""),
        ("other-model", "Be brief."),
    ]
    assert len(peers.history.does.calls) == 1
    assert len(desk.requests["1"].notes) == 1
    assert [step.name for step in ended.steps] == ["synthesize"]
    assert [each.id for each in (await acme.page()).enhancements] == [ended.id, first.id]


async def test_what_was_never_gathered_cannot_be_replayed(acme: Client) -> None:
    failed = await failed_for_good(acme)

    assert await refusal(replay(acme, failed.id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ENHANCEMENT_NOT_REPLAYABLE",
    )


async def test_nobody_reaches_another_tenants_runs(acme: Client, globex: Client, peers: Peers) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    theirs = await acme.submit_one("1")
    await acme.reached(theirs, "synthesize")
    failed = await failed_for_good(acme)

    not_found = (grpc.StatusCode.NOT_FOUND, "ENHANCEMENT_NOT_FOUND")
    assert await refusal(cancel(globex, theirs)) == not_found
    assert await refusal(retry(globex, failed.id)) == not_found
    assert await refusal(replay(globex, theirs)) == not_found

    peers.synthesis.does.hold.set()
    assert (await acme.ended(theirs)).state == SUCCEEDED
    assert (await acme.get(failed.id)).state == FAILED


async def test_a_viewer_steers_nothing_and_only_operators_steer_queues(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("1"))
    denied = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")

    assert await refusal(cancel(acme, ended.id, role="viewer")) == denied
    assert await refusal(retry(acme, ended.id, role="viewer")) == denied
    pause = acme.stub.PauseQueue(pb.PauseQueueRequest(), metadata=acme.acting("admin"))
    assert await refusal(pause) == denied


async def test_a_paused_tenant_accepts_and_makes_nothing_until_it_is_resumed(acme: Client) -> None:
    operator = acme.acting("operator")
    paused = await acme.stub.PauseQueue(pb.PauseQueueRequest(), metadata=operator)
    assert paused.queue.paused
    enhancement_id = await acme.submit_one("1")

    async with asyncio.timeout(SECONDS):
        while (await acme.stub.GetQueue(pb.GetQueueRequest(), metadata=operator)).queue.waiting != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await acme.get(enhancement_id)).state == enhancement_pb.ENHANCEMENT_STATE_QUEUED

    await acme.stub.ResumeQueue(pb.ResumeQueueRequest(), metadata=operator)
    assert (await acme.ended(enhancement_id)).state == SUCCEEDED


async def test_everything_is_paused_by_an_operator_without_a_tenant(
    acme: Client, globex: Client, keys: Keys
) -> None:
    everyone = keys.metadata("orchestrator", tenant=None, role="operator", subject="cli")
    await acme.stub.PauseQueue(pb.PauseQueueRequest(), metadata=everyone)
    ids = [(client, await client.submit_one("1")) for client in (acme, globex)]

    standing = (await acme.stub.GetQueue(pb.GetQueueRequest(), metadata=everyone)).queue
    assert (standing.paused, standing.waiting, standing.in_progress) == (True, 2, 0)
    assert standing.HasField("oldest_age")

    await acme.stub.ResumeQueue(pb.ResumeQueueRequest(), metadata=everyone)
    for client, each in ids:
        assert (await client.ended(each)).state == SUCCEEDED


async def test_a_share_and_a_cap_are_kept_until_they_are_changed(acme: Client, globex: Client) -> None:
    operator = acme.acting("operator")

    async def update(**fields: object) -> queue_pb2.Queue:
        request = pb.UpdateQueueRequest(**fields)  # type: ignore[arg-type]
        return (await acme.stub.UpdateQueue(request, metadata=operator)).queue

    first = await update(weight=queue_pb2.QUEUE_WEIGHT_PREMIUM)
    assert (first.weight, first.max_in_progress) == (queue_pb2.QUEUE_WEIGHT_PREMIUM, 4)
    second = await update(max_in_progress=9)
    assert (second.weight, second.max_in_progress) == (queue_pb2.QUEUE_WEIGHT_PREMIUM, 9)
    third = await update(max_in_progress=0)
    assert (third.weight, third.max_in_progress) == (queue_pb2.QUEUE_WEIGHT_PREMIUM, 4)

    theirs = (await globex.stub.GetQueue(pb.GetQueueRequest(), metadata=globex.acting("viewer"))).queue
    assert (theirs.weight, theirs.max_in_progress) == (queue_pb2.QUEUE_WEIGHT_STANDARD, 4)
