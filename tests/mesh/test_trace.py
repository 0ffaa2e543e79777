"""One trace from the webhook to the note, and a client's change of mind that reaches the server."""

import asyncio
import re
from collections.abc import Sequence

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from dossier.orchestrator.v1.orchestrator_service_pb2 import WatchEnhancementRequest
from tests.support.mesh import Mesh
from tests.support.otlp import Received, Receiver
from tests.support.polling import eventually

HOPS = {"gateway", "orchestrator", "history", "knowledge", "network", "synthesis", "tenants"}
CALLED = (
    "OrchestratorService/SubmitEnhancements",
    "HistoryService/SearchSimilarTickets",
    "KnowledgeService/SearchArticles",
    "NetworkService/LookupMentions",
    "SynthesisService/WriteBrief",
    "TenantService/GetTicketingAccess",
)


def deliver_trace(otlp: Receiver, enhancement_id: str) -> Sequence[Received] | None:
    """The trace in which this enhancement's note was posted, once every hop's spans have arrived."""
    for each in otlp.spans():
        told = {attribute.key: attribute.value.string_value for attribute in each.span.attributes}
        if enhancement_id in told.values() and each.span.name.endswith("deliver"):
            trace = otlp.trace(each.span.trace_id)
            whole = {each.service for each in trace} >= HOPS
            return trace if whole and any(is_webhook(each) for each in trace) else None
    return None


def is_webhook(each: Received) -> bool:
    return each.service == "gateway" and each.span.name.startswith("POST /webhooks")


async def test_one_trace_runs_from_the_webhook_to_the_note_through_every_hop(
    mesh: Mesh, otlp: Receiver
) -> None:
    enhancement = await mesh.ended(mesh.accepted("VPN hangs at 40 percent, -5029", "After a long leave."))

    trace = await asyncio.to_thread(
        eventually, lambda: deliver_trace(otlp, enhancement.id), what="the whole trace", timeout_seconds=30
    )

    ids = {each.span.span_id for each in trace}
    roots = [each for each in trace if each.span.parent_span_id not in ids]
    assert [is_webhook(each) for each in roots] == [True], [each.span.name for each in roots]
    for call in CALLED:
        for kind in (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER):
            spans = [each.span for each in trace if each.span.kind == kind and each.span.name.endswith(call)]
            assert spans, f"no {Span.SpanKind.Name(kind)} span of {call}"
            assert all(grpc_code(span) == 0 for span in spans)
    assert not [each.span.name for each in trace if each.span.status.code == Status.STATUS_CODE_ERROR]


def grpc_code(span: Span) -> int:
    told = {each.key: each.value.int_value for each in span.attributes}
    return told["rpc.grpc.status_code"]


async def test_a_watch_given_up_by_its_client_ends_at_the_server(mesh: Mesh) -> None:
    mesh.desk.post("/_standin/faults", {"kind": "slow", "seconds": 3, "method": "POST", "path": "/notes"})
    enhancement_id = mesh.accepted("VPN hangs at 40 percent, -5029", "After a long leave.")
    before = cancelled_watches(mesh)
    async with mesh.orchestrating() as orchestrator:
        watching = orchestrator.WatchEnhancement(WatchEnhancementRequest(enhancement_id=enhancement_id))
        async for _ in watching:
            break
        watching.cancel()

    await asyncio.to_thread(
        eventually, lambda: cancelled_watches(mesh) == before + 1, what="a cancelled watch at the server"
    )
    assert (await mesh.ended(enhancement_id)).HasField("note")


def cancelled_watches(mesh: Mesh) -> float:
    port = mesh.record.ports.metrics("orchestrator")
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    for line in metrics.splitlines():
        if (
            line.startswith("grpc_server_handled_total{")
            and "WatchEnhancement" in line
            and "CANCELLED" in line
        ):
            return float(re.split(r"\s+", line)[-1])
    return 0.0
