"""What every outgoing call carries: a token, the request id, the trace, and no more time than there is."""

import time
from collections.abc import Callable
from typing import Final, TypeAlias

import grpc
from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import Span, SpanKind, Status

from services.runtime import deadline, request_id, telemetry
from services.runtime.caller import Caller, caller_or_none
from services.runtime.tokens import TOKEN_SECONDS, TokenSigner

# A token is replaced while it is still good for any call it may be sent with.
_TOKEN_REUSE_SECONDS: Final = 200
_TOKENS_MAX: Final = 4096
UNARY_SECONDS: Final = 30.0

Details: TypeAlias = grpc.aio.ClientCallDetails


class Tokens:
    """Tokens for one audience, minted for the caller at hand and kept until nearly expired."""

    def __init__(self, signer: TokenSigner, *, audience: str, subject: str) -> None:
        self._signer = signer
        self._audience = audience
        self._subject = subject
        self._minted: dict[tuple[str | None, str, str], tuple[float, str]] = {}
        self._signed_by = signer.key_id

    def current(self) -> str:
        caller = caller_or_none()
        bearer = (None, "service", "") if caller is None else self._bearer(caller)
        now = time.monotonic()
        if (key_id := self._signer.key_id) != self._signed_by:
            # The former key may not be believed much longer.
            self._minted.clear()
            self._signed_by = key_id
        kept = self._minted.get(bearer)
        if kept is not None and now < kept[0]:
            return kept[1]
        tenant, role, on_behalf_of = bearer
        token = self._signer.mint(
            audience=self._audience,
            tenant=tenant,
            subject=self._subject,
            role=role,
            on_behalf_of=on_behalf_of,
            ttl_seconds=TOKEN_SECONDS,
        )
        if len(self._minted) >= _TOKENS_MAX:
            self._minted.clear()
        self._minted[bearer] = (now + _TOKEN_REUSE_SECONDS, token)
        return token

    def _bearer(self, caller: Caller) -> tuple[str | None, str, str]:
        principal = "" if caller.principal == self._subject else caller.principal
        return caller.tenant, caller.role, principal


class Outgoing:
    """Prepares one call and follows it to its end.

    It never awaits the call: whoever made it keeps the handle, so that cancelling it reaches the server
    (OpenTelemetry's client interceptors wait for the status and break that).
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def prepare(self, details: Details, *, default_seconds: float | None) -> tuple[Details, Span | None]:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if metadata.get("authorization") is None:
            metadata.add("authorization", f"Bearer {self._tokens.current()}")
        current_request = request_id.current_request_id()
        if current_request is not None and metadata.get(request_id.METADATA_KEY) is None:
            metadata.add(request_id.METADATA_KEY, current_request)
        span = _start_span(details.method, metadata)
        prepared = grpc.aio.ClientCallDetails(
            details.method,
            deadline.timeout_for(details.timeout, default=default_seconds),
            metadata,
            details.credentials,
            details.wait_for_ready,
        )
        return prepared, span


def _start_span(method: str | bytes, metadata: grpc.aio.Metadata) -> Span | None:
    """Put the trace into the metadata; a span to be ended by `end_with` where it is recorded."""
    tracer = telemetry.current_tracer()
    if tracer is None:
        return None
    path = method.decode() if isinstance(method, bytes) else method
    span = tracer.start_span(path.removeprefix("/"), kind=SpanKind.CLIENT)
    propagate.inject(metadata, context=trace.set_span_in_context(span), setter=_SETTER)
    if not span.is_recording():
        return None
    service, _, name = path.removeprefix("/").partition("/")
    span.set_attributes({"rpc.system": "grpc", "rpc.service": service, "rpc.method": name})
    return span


def end_with(span: Span) -> Callable[[grpc.aio.Call], None]:
    """Make the callback that ends the span with the call; an abandoned call ends too, as cancelled."""

    def end(call: grpc.aio.Call) -> None:
        code = _code_of_finished(call)
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code is not grpc.StatusCode.OK:
            span.set_status(Status(trace.StatusCode.ERROR, code.name))
        span.end()

    return end


def _code_of_finished(call: grpc.aio.Call) -> grpc.StatusCode:
    """Read the code of a call that is done, without waiting: its coroutine ends at the first step."""
    status = call.code()
    try:
        status.send(None)
    except StopIteration as finished:
        code: grpc.StatusCode = finished.value
        return code
    status.close()
    return grpc.StatusCode.UNKNOWN


class _MetadataSetter(Setter[grpc.aio.Metadata]):
    def set(self, carrier: grpc.aio.Metadata, key: str, value: str) -> None:
        carrier.set_all(key, [value])


_SETTER = _MetadataSetter()
