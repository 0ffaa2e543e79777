"""A source that fails is a line in the brief, never a lost brief."""

import asyncio

import pytest

from cli.standins.servicedesk_plus import ServiceDesk
from dossier.context.v1 import evidence_pb2 as context
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import ContextSource
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers


def report(enhancement: pb.Enhancement, source: str) -> context.SourceReport:
    return next(each for each in enhancement.sources if each.source == source)


@pytest.mark.parametrize("source", ["history", "knowledge", "network"])
async def test_a_source_that_is_down_is_named(
    acme: Client, peers: Peers, desk: ServiceDesk, source: str
) -> None:
    await peers.stop(source)

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert report(ended, source).state == context.SOURCE_STATE_UNAVAILABLE
    assert f"{source}: could not be reached" in desk.requests["1"].notes[0].description
    assert {each.source for each in ended.evidence} == {"history", "knowledge", "network"} - {source}
    assert {step.name: step.state for step in ended.steps}[source] == pb.STEP_STATE_FAILED


async def test_a_source_that_does_not_answer_in_time_is_named(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.knowledge.does.hold = asyncio.Event()

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert report(ended, "knowledge").state == context.SOURCE_STATE_TIMED_OUT
    assert "knowledge: timed out after 1.5 s" in desk.requests["1"].notes[0].description


async def test_a_knowledge_base_that_fails_is_named_beside_what_was_found(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.knowledge.knowledge_bases = [
        context.SourceReport(source="handbook", state=context.SOURCE_STATE_ANSWERED, evidence_count=2),
        context.SourceReport(
            source="wiki", state=context.SOURCE_STATE_TIMED_OUT, detail="timed out after 10 s"
        ),
    ]

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert report(ended, "knowledge").state == context.SOURCE_STATE_ANSWERED
    assert report(ended, "wiki").state == context.SOURCE_STATE_TIMED_OUT
    note = desk.requests["1"].notes[0].description
    assert "wiki: timed out after 10 s" in note
    assert "handbook" not in note
    steps = {step.name: (step.state, step.detail) for step in ended.steps}
    assert steps["handbook"] == (pb.STEP_STATE_SUCCEEDED, "2 found")
    assert steps["wiki"] == (pb.STEP_STATE_FAILED, "timed out after 10 s")


async def test_sources_that_answered_are_seen_while_another_is_waited_for(acme: Client, peers: Peers) -> None:
    peers.knowledge.does.hold = asyncio.Event()
    enhancement_id = await acme.submit_one("1")

    async for seen in acme.watch(enhancement_id):
        states = {step.name: step.state for step in seen.steps}
        if states.get("history") == pb.STEP_STATE_SUCCEEDED:
            assert states["knowledge"] == pb.STEP_STATE_RUNNING
            break
    else:
        pytest.fail("history was never seen to have answered")


async def test_a_source_that_answers_with_an_error_is_named(acme: Client, peers: Peers) -> None:
    peers.history.does.failures = 1

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert report(ended, "history").state == context.SOURCE_STATE_FAILED
    assert report(ended, "history").detail == "answered with an error (INTERNAL)"


async def test_network_does_not_hold_up_history(acme: Client, peers: Peers) -> None:
    peers.network.does.hold = asyncio.Event()

    ended = await acme.ended(await acme.submit_one("1"))

    assert report(ended, "history").state == context.SOURCE_STATE_ANSWERED
    assert report(ended, "network").state == context.SOURCE_STATE_TIMED_OUT
    steps = {step.name: step for step in ended.steps}
    ends = {
        name: step.start_time.ToNanoseconds() + step.duration.ToNanoseconds() for name, step in steps.items()
    }
    assert ends["history"] < ends["network"]


async def test_a_tenants_own_source_contributes_under_its_configured_name(acme: Client, peers: Peers) -> None:
    target = peers.target("source:monitoring")
    peers.tenants.sources = [ContextSource(name="monitoring", target=target)]

    ended = await acme.ended(await acme.submit_one("1"))

    alert = next(each for each in ended.evidence if each.source == "monitoring")
    assert (alert.id, alert.title) == ("monitoring:alert-9", "fw-01 is down")
    assert report(ended, "monitoring").evidence_count == 1
    assert peers.monitoring.does.calls[0][0] == "acme"


async def test_a_tenants_own_source_that_is_down_is_named(acme: Client, peers: Peers) -> None:
    await peers.stop("source:monitoring")
    target = peers.target("source:monitoring")
    peers.tenants.sources = [ContextSource(name="monitoring", target=target, deadline_ms=500)]

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert report(ended, "monitoring").state != context.SOURCE_STATE_ANSWERED


async def test_the_brief_waits_for_synthesis_and_for_the_tenants_settings(acme: Client, peers: Peers) -> None:
    await peers.stop("synthesis")
    await peers.stop("tenants")
    enhancement_id = await acme.submit_one("1")
    await acme.reached(enhancement_id, "refresh", attempt=2)
    await peers.start("tenants")
    await acme.reached(enhancement_id, "synthesize", attempt=2)
    await peers.start("synthesis")

    ended = await acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert len(peers.history.does.calls) == 1
