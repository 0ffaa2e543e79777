"""One server span per call, inside the caller's trace, with the status the call really had."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, Final

from grpc import StatusCode
from opentelemetry import trace
from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor
from opentelemetry.trace import Span, Status, Tracer

from services.runtime.interceptors.call import Call, Context

# What is the server's doing; a NOT_FOUND is a correct answer and leaves the span's status unset.
SERVER_FAULTS: Final = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)
CODE_ATTRIBUTE: Final = "rpc.grpc.status_code"


class TracingConcern:
    """OpenTelemetry's package reads the caller's context and describes the call; we write how it ended.

    The package says OK for uncaught exceptions, for passed deadlines and for every rich status, and loses
    its place in streams that a client abandons. tests/runtime/test_opentelemetry_faults.py notices when it
    is mended.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._spans = _Spans(tracer)

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        with self._spans.of(call) as span:
            try:
                yield
            finally:
                if span.is_recording():
                    _record_end(span, call)


def _record_end(span: Span, call: Call) -> None:
    span.set_attribute(CODE_ATTRIBUTE, call.code.value[0])
    if call.code in SERVER_FAULTS:
        span.set_status(Status(trace.StatusCode.ERROR, call.code.name))


class _Spans(OpenTelemetryAioServerInterceptor):
    """The package's own way to enter a remote context and begin a span, without its way to end one."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(_WithoutExceptions(tracer))  # type: ignore[no-untyped-call]

    @contextmanager
    def of(self, call: Call) -> Iterator[Span]:
        with self._set_remote_context(call.context):
            if _unsampled(call.metadata.get("traceparent")):
                # What this call calls in turn still learns that nobody records.
                yield trace.INVALID_SPAN
                return
            described = SimpleNamespace(method=call.method.path.removeprefix("/"))
            with self._started(described, call.context) as span:
                yield span

    def _started(self, described: SimpleNamespace, context: Context) -> AbstractContextManager[Span]:
        started: AbstractContextManager[Span] = self._start_span(described, context)  # type: ignore[no-untyped-call]
        return started


class _WithoutExceptions:
    """A tracer whose spans keep no exception texts: they may quote a customer, and the log has them."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_as_current_span(self, **options: Any) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span(**options, record_exception=False)


def _unsampled(traceparent: str | None) -> bool:
    """Whether the caller's trace is not being recorded, read from the flags at the header's end."""
    return traceparent is not None and traceparent.endswith(("-00", "-02"))
