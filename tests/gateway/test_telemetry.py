"""Metrics without anything a client chose, and one trace through the front door."""

import asyncio

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import REGISTRY

from services.runtime import telemetry
from tests.gateway.world import TOOL, World, eventually, key, running_world, sign, ticket_body
from tests.runtime.collector import CLIENT, ERROR, SERVER, UNSET, Collector, collecting
from tests.support.keys import Keys

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


async def test_labels_hold_routes_and_never_what_was_sent(world: World) -> None:
    marks = ("tenant-x", "ticket-x", "tool-x", "verb-x", "path-x", "acme", "4711")
    await world.webhook(ticket_body("4711"))
    await world.webhook(ticket_body(), tenant="tenant-x", tool="tool-x")
    await world.http.get("/v1/tickets/ticket-x", headers=key())
    await world.http.get("/path-x/secret", headers=key())
    await world.http.request("VERB-X".replace("-", ""), "/v1/tickets", headers=key())
    async with httpx.AsyncClient() as scraper:
        text = (await scraper.get(f"{world.gateway.metrics_url}/metrics")).text
    # Names and labels; a value may hold any digits.
    ours = [line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("dossier_gateway_")]
    assert not [line for line in ours if any(mark in line.lower() for mark in marks)]
    assert (
        'dossier_gateway_requests_total{method="POST",route="/webhooks/{tenant}/{tool}",status="202"}' in text
    )
    assert 'dossier_gateway_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert 'dossier_gateway_request_seconds_count{route="/v1/tickets/{ticket_id}"}' in text
    assert 'dossier_gateway_webhooks_total{outcome="refused"}' in text
    assert "dossier_gateway_intake_batch_items_bucket" in text


async def test_an_event_stream_is_counted_while_it_lasts(world: World) -> None:
    def streams() -> float | None:
        return REGISTRY.get_sample_value("dossier_gateway_event_streams")

    reading = asyncio.create_task(world.http.get("/v1/enhancements/e/events", headers=key()))
    await eventually(lambda: streams() == 1)
    await world.orchestrator.updates.put(None)
    await reading
    assert streams() == 0


def _attributes(span: Span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


async def _spans(
    monkeypatch: pytest.MonkeyPatch, keys: Keys, traceparent: str, *, path: str = ""
) -> Collector:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
        async with telemetry.exporting("gateway"), running_world(keys) as world:
            headers = {"traceparent": traceparent}
            if path:
                await world.http.get(path, headers={**headers, **key()})
            else:
                body = ticket_body()
                await world.http.post(
                    f"/webhooks/acme/{TOOL}", content=body, headers={**sign(body), **headers}
                )
    return collector


async def test_a_webhooks_trace_goes_from_its_sender_to_the_orchestrator(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = await _spans(monkeypatch, keys, f"00-{TRACE}-{PARENT}-01")
    root = collector.one("/webhooks/{tenant}/{tool}", SERVER)
    assert root.name == "POST /webhooks/{tenant}/{tool}"
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    assert root.status.code == UNSET
    assert _attributes(root)["http.response.status_code"] == 202
    submit = collector.one("SubmitEnhancements", CLIENT)
    assert (submit.trace_id, submit.parent_span_id) == (root.trace_id, root.span_id)
    served = collector.one("SubmitEnhancements", SERVER)
    assert served.parent_span_id == submit.span_id


async def test_a_failure_of_ours_marks_the_span(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = await _spans(
        monkeypatch, keys, f"00-{TRACE}-{PARENT}-01", path="/v1/tickets/code-UNAVAILABLE"
    )
    root = collector.one("/v1/tickets/{ticket_id}", SERVER)
    assert root.status.code == ERROR
    assert _attributes(root)["http.response.status_code"] == 503


async def test_a_sender_who_does_not_record_decides_for_all_hops(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = await _spans(monkeypatch, keys, f"00-{TRACE}-{PARENT}-00", path="/v1/tickets/1")
    assert [span.name for span in collector.spans if span.trace_id.hex() == TRACE] == []
