"""Traces: exported over OTLP where an endpoint is configured, and costing nothing where none is."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_LAST_SPANS_SECONDS = 2.0

_tracer: Tracer | None = None


def current_tracer() -> Tracer | None:
    """None while this process exports no traces."""
    return _tracer


@asynccontextmanager
async def exporting(service: str) -> AsyncIterator[None]:
    """Export this process's spans as `service` until the end, and send what is left then.

    The sampler is OpenTelemetry's own choice (`OTEL_TRACES_SAMPLER`), parent-based unless told otherwise.
    """
    global _tracer  # noqa: PLW0603 - one process, one exporter
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield
        return
    # Imported here: a process that exports nothing should not carry the SDK in its memory.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.namespace": "dossier", "service.name": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("dossier")
    try:
        yield
    finally:
        _tracer = None
        sending = asyncio.create_task(asyncio.to_thread(provider.shutdown))
        await asyncio.wait({sending}, timeout=_LAST_SPANS_SECONDS)
        if not sending.done():
            # A collector that is away must not hold up a drain: this ends the exporter's retries.
            await asyncio.to_thread(exporter.shutdown)
        await sending


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[Span]:
    """Record a step inside a call.

    Attributes have dotted names: `with span("history.rank", **{"dossier.ticket.source": kind}):`.
    A failure marks the span with the exception's type only: its text may quote a customer.
    """
    tracer = _tracer
    if tracer is None:
        yield trace.INVALID_SPAN
        return
    with tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as step:
        try:
            yield step
        except BaseException as error:
            step.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
