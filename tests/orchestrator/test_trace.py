"""A run goes on with the trace of the webhook that brought its ticket."""

import pytest

from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from services.orchestrator.settings import OrchestratorSettings
from services.runtime import telemetry
from tests.orchestrator.client import submission
from tests.orchestrator.world import orchestrating
from tests.runtime.collector import CLIENT, collecting
from tests.support.keys import Keys

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_the_trace_reaches_through_the_queue_to_every_service(
    settings: OrchestratorSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        async with telemetry.exporting("orchestrator"), orchestrating(settings, keys) as orchestrator:
            acme = orchestrator.client("acme")
            metadata = (
                *acme.acting("service"),
                ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),
            )
            request = pb.SubmitEnhancementsRequest(submissions=[submission("1")])
            response = await acme.stub.SubmitEnhancements(request, metadata=metadata)
            enhancement_id = response.results[0].enhancement_id
            await acme.ended(enhancement_id)

        steps = {span.name: span for span in collector.spans if span.trace_id.hex() == TRACE}
        assert {"orchestrator.gather", "orchestrator.synthesize", "orchestrator.deliver"} <= steps.keys()
        for call in ("/SearchSimilarTickets", "/SearchArticles", "/LookupMentions", "/WriteBrief"):
            assert collector.one(call, CLIENT).trace_id.hex() == TRACE
        written = collector.one("/WriteBrief", CLIENT)
        assert written.parent_span_id == steps["orchestrator.synthesize"].span_id
        attributes = {each.key: each.value.string_value for each in steps["orchestrator.gather"].attributes}
        assert attributes == {"dossier.enhancement.id": enhancement_id}
