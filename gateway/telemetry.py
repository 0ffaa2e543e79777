"""Every metric and span name of the gateway. No label holds anything that a client or tenant chose."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, Tracer
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

from gateway.asgi import ROUTE, header

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"

_requests = Counter("dossier_gateway_requests", "Requests answered.", ("route", "method", "status"))
_seconds = Histogram(
    "dossier_gateway_request_seconds",
    "How long requests took.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_webhooks = Counter("dossier_gateway_webhooks", "Webhooks by what became of them.", ("outcome",))
webhooks_with_older_secret = Counter(
    "dossier_gateway_webhooks_with_older_secret",
    "Webhooks that came with a secret that is being replaced: their tool has not been given the newer one.",
)
secret_uses_waiting = Gauge(
    "dossier_gateway_secret_uses_waiting",
    "Webhook secrets whose use the tenants service is still to be told.",
)
batch_items = Histogram(
    "dossier_gateway_intake_batch_items",
    "Webhooks in one call to the orchestrator.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
intake_waiting = Gauge("dossier_gateway_intake_waiting", "Webhooks that wait for a batch.")
_limited = Counter(
    "dossier_gateway_limited",
    "Requests over a limit, by which; failures that block their address until the minute's end.",
    ("limit",),
)
limits_unavailable = Counter(
    "dossier_gateway_limits_unavailable",
    "Requests let through without counting, and failures counted here alone, as Redis did not answer.",
)
oidc_key_reads = Counter(
    "dossier_gateway_oidc_key_reads",
    "Readings of the identity provider's keys: `read`, `failed`.",
    ("outcome",),
)
event_streams = Gauge("dossier_gateway_event_streams", "Event streams being sent.")

# Finding a labelled child costs more than counting with it.
webhooks_with = cache(_webhooks.labels)
_requests_with = cache(_requests.labels)
_seconds_of = cache(_seconds.labels)
limited_by = cache(_limited.labels)


def method_label(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "OTHER"


def count_request(scope: Scope, *, status: int, seconds: float) -> None:
    route = scope.get(ROUTE, UNMATCHED)
    _requests_with(route, method_label(scope), status).inc()
    _seconds_of(route).observe(seconds)


@contextmanager
def root_span(tracer: Tracer, scope: Scope) -> Iterator[Span]:
    """The request's span, in the sender's trace where it names one. Here it is decided what is recorded."""
    carrier: MutableMapping[str, str] = {}
    for name in ("traceparent", "tracestate"):
        if (value := header(scope, name.encode())) is not None:
            carrier[name] = value
    with tracer.start_as_current_span(
        scope["method"],
        context=propagate.extract(carrier),
        kind=SpanKind.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def end_span(span: Span, scope: Scope, *, status: int) -> None:
    if not span.is_recording():
        return
    route, method = scope.get(ROUTE, UNMATCHED), method_label(scope)
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    )
    if status >= 500:
        span.set_status(Status(trace.StatusCode.ERROR))
