"""A real OTLP receiver: what a process exports arrives here over gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

ERROR = Status.STATUS_CODE_ERROR
UNSET = Status.STATUS_CODE_UNSET
SERVER = Span.SPAN_KIND_SERVER
CLIENT = Span.SPAN_KIND_CLIENT


@dataclass(slots=True)
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    spans: list[Span]
    services: set[str]
    endpoint: str = ""

    async def Export(self, request: Any, _context: Any) -> Any:
        for resource_spans in request.resource_spans:
            attributes = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
            self.services.add(attributes["service.name"])
            for scope_spans in resource_spans.scope_spans:
                self.spans.extend(scope_spans.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def one(self, name: str, kind: int) -> Span:
        found = [span for span in self.spans if span.name.endswith(name) and span.kind == kind]
        assert len(found) == 1, f"{len(found)} spans of {name}"
        return found[0]

    def code(self, span: Span) -> int:
        """The gRPC status code the span recorded."""
        attributes = {each.key: each.value.int_value for each in span.attributes}
        return attributes["rpc.grpc.status_code"]


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector([], set())
    server = grpc.aio.server()
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collector
    finally:
        await server.stop(0)
