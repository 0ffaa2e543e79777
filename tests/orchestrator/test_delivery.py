"""One note, whatever the ticketing tool does; and a reason that a person can act on where there is none."""

import asyncio

import pytest

from cli.standins.servicedesk_plus import ServiceDesk
from cli.standins.servicedesk_plus.faults import Fault, FaultKind
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb_service
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.client import SECONDS, Client
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import orchestrating
from tests.support.keys import Keys


def on_notes(kind: FaultKind, *, count: int = 1, retry_after: str = "") -> Fault:
    return Fault(kind=kind, count=count, method="POST", path="/notes", retry_after=retry_after)


def step(enhancement: pb.Enhancement, name: str) -> pb.Step:
    return next(each for each in enhancement.steps if each.name == name)


@pytest.mark.parametrize(
    "fault",
    [
        on_notes("rate_limited", retry_after="1"),
        on_notes("error", count=2),
        on_notes("lost_reply"),
        on_notes("truncated"),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_fault_that_passes_ends_with_one_note(acme: Client, desk: ServiceDesk, fault: Fault) -> None:
    desk.faults.inject(fault)

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    (note,) = desk.requests["1"].notes
    assert ended.note.id == note.id
    assert step(ended, "deliver").attempt == fault.count + 1


async def test_after_a_lost_reply_the_note_is_found_and_not_posted_again(
    acme: Client, desk: ServiceDesk
) -> None:
    desk.faults.inject(on_notes("lost_reply"))

    ended = await acme.ended(await acme.submit_one("1"))

    assert desk.calls.count("POST", "/notes") == 1
    assert "earlier attempt" in step(ended, "deliver").detail


async def test_a_rate_limit_is_waited_out_without_looking_for_a_note(acme: Client, desk: ServiceDesk) -> None:
    desk.faults.inject(on_notes("rate_limited", retry_after="1"))

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert desk.calls.count("GET", "/notes") == 0


async def test_a_refusal_ends_the_run_at_once_and_says_what_to_do(acme: Client, desk: ServiceDesk) -> None:
    desk.faults.inject(on_notes("forbidden", count=9))

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_FAILED
    assert (ended.failure.step, ended.failure.reason) == ("deliver", "TOOL_REJECTED")
    assert "role of the API key" in ended.failure.message
    assert step(ended, "deliver").state == pb.STEP_STATE_FAILED
    assert desk.calls.count("POST", "/notes") == 1
    # What was bought is not lost with the delivery.
    assert ended.HasField("brief")


async def test_a_ticket_that_is_gone_is_said_to_be_missing(acme: Client) -> None:
    ended = await acme.ended(await acme.submit_one("404"))

    assert ended.state == pb.ENHANCEMENT_STATE_FAILED
    assert (ended.failure.step, ended.failure.reason) == ("refresh", "TICKET_MISSING")


async def test_a_suspended_tenant_is_not_served(acme: Client, globex: Client, peers: Peers) -> None:
    peers.tenants.suspended = {"acme"}

    ended = await acme.ended(await acme.submit_one("1"))
    other = await globex.ended(await globex.submit_one("1"))

    assert (ended.state, ended.failure.reason) == (pb.ENHANCEMENT_STATE_FAILED, "TENANT_NOT_SERVED")
    assert other.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert [tenant for tenant, _ in peers.synthesis.does.calls] == ["globex"]


async def test_a_tool_without_an_adapter_is_named(acme: Client, peers: Peers) -> None:
    peers.tenants.tool = "abacus"

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.failure.reason == "TOOL_UNKNOWN"
    assert "abacus" in ended.failure.message


async def test_a_hint_that_cannot_be_reread_says_which_setting_is_missing(acme: Client, peers: Peers) -> None:
    peers.tenants.base_urls = {}
    ticket = Ticket(id="1", tool="servicedesk_plus")

    ended = await acme.ended(await acme.submit_one(ticket=ticket, is_hint=True))

    assert ended.state == pb.ENHANCEMENT_STATE_FAILED
    assert "base_url" in ended.failure.message


async def test_a_whole_ticket_is_enhanced_though_the_tool_cannot_be_read(
    acme: Client, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="error", method="GET"))

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert ended.ticket.subject == "VPN drops"
    assert step(ended, "refresh").detail.startswith("as the webhook said")


async def test_patience_ends_with_the_reason_it_was_needed_for(
    settings: OrchestratorSettings, keys: Keys, desk: ServiceDesk
) -> None:
    desk.faults.inject(on_notes("error", count=99))
    impatient = settings.model_copy(update={"patience_seconds": 2.0})

    async with orchestrating(impatient, keys) as orchestrator:
        acme = orchestrator.client("acme")
        ended = await acme.ended(await acme.submit_one("1"))

    assert (ended.state, ended.failure.reason) == (pb.ENHANCEMENT_STATE_FAILED, "TOOL_UNAVAILABLE")
    assert "given up" in ended.failure.message
    assert step(ended, "deliver").attempt > 1


async def test_an_error_of_ours_fails_the_run_and_not_the_service(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.tenants.base_urls = {"acme": "http://[broken"}

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_FAILED
    assert ended.failure.reason in {"STEP_FAILED", "TOOL_REJECTED"}
    peers.tenants.base_urls = {}
    assert (await acme.ended(await acme.submit_one("2"))).state == pb.ENHANCEMENT_STATE_SUCCEEDED


async def test_a_note_that_takes_the_tool_longer_than_is_waited_for_is_not_posted_twice(
    acme: Client, desk: ServiceDesk
) -> None:
    # The lease ends before: the request is cut, and lands all the same.
    desk.faults.inject(Fault(kind="slow", seconds=3.7, method="POST", path="/notes"))

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert "earlier attempt" in step(ended, "deliver").detail
    assert desk.calls.count("POST", "/notes") == 1
    (note,) = desk.requests["1"].notes
    assert ended.note.id == note.id


async def test_a_note_under_way_when_its_run_is_cancelled_is_not_posted_again_by_a_retry(
    acme: Client, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="slow", seconds=1, method="POST", path="/notes"))
    enhancement_id = await acme.submit_one("1")
    async with asyncio.timeout(SECONDS):
        while desk.faults.waiting:  # noqa: ASYNC110 - the tool is waited for
            await asyncio.sleep(0.01)

    cancelled = pb_service.CancelEnhancementRequest(enhancement_id=enhancement_id)
    await acme.stub.CancelEnhancement(cancelled, metadata=acme.acting())
    again = pb_service.RetryEnhancementRequest(enhancement_id=enhancement_id)
    await acme.stub.RetryEnhancement(again, metadata=acme.acting())
    ended = await acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert "earlier attempt" in step(ended, "deliver").detail
    assert len(desk.requests["1"].notes) == 1
