"""Channels to other services, with the policy of retries and reconnection in one place."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from services.runtime.outgoing import UNARY_SECONDS, Details, Outgoing, Tokens, end_with
from services.runtime.renewing import RenewingChannel
from services.runtime.tls import TlsFiles
from services.runtime.tokens import TokenSigner

_REPEATABLE: Final = frozenset({MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT})
MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""The largest message: gRPC's own 4 MiB is less than a ticket and its evidence may have together."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC would wait up to two minutes before it looks for a restarted service again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # New replicas are found when the old connections break, and no sooner than this.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.service_config_disable_resolution", 1),
)

_SCHEMES: Final = ("unix:", "ipv4:", "ipv6:")


def open_channel(
    target: str,
    *,
    audience: str,
    services: Sequence[ServiceDescriptor],
    signer: TokenSigner,
    subject: str,
    tls: TlsFiles | None,
    authority: str | None = None,
) -> grpc.aio.Channel:
    """Open a channel to the service `audience`, on which the process `subject` calls the given services.

    `authority` is who is spoken to where `target` is only an address. With `tls` the service has to show a
    certificate for the name in `target`, and is shown ours.

    Calls carry a token for the current caller's tenant and role, the request id and the trace, and end
    before the call being served does.
    """
    outgoing = Outgoing(Tokens(signer, audience=audience, subject=subject))
    named = [] if authority is None else [("grpc.default_authority", authority)]
    address = target if ":///" in target or target.startswith(_SCHEMES) else f"dns:///{target}"
    options = [*_OPTIONS, *named, ("grpc.service_config", json.dumps(service_config(services)))]
    # One object per kind of call: grpc.aio takes an interceptor for the first kind it has, and no other.
    interceptors: list[grpc.aio.ClientInterceptor] = [
        _UnaryUnary(outgoing),
        _UnaryStream(outgoing),
        _StreamUnary(outgoing),
        _StreamStream(outgoing),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors)
    return RenewingChannel(
        tls,
        lambda credentials: grpc.aio.secure_channel(
            address, credentials, options=options, interceptors=interceptors
        ),
    )


def service_config(services: Sequence[ServiceDescriptor]) -> dict[str, object]:
    """Spread calls over all addresses; repeat a refused call only where its contract says that is safe."""
    repeatable = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if _is_repeatable(method)
    ]
    retry = {
        "maxAttempts": 3,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config: dict[str, object] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Retries stop while most calls fail, so that they do not keep a struggling service down.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
    if repeatable:
        config["methodConfig"] = [{"name": repeatable, "retryPolicy": retry}]
    return config


def _is_repeatable(method: MethodDescriptor) -> bool:
    return method.GetOptions().idempotency_level in _REPEATABLE


class _Kind:
    default_seconds: float | None = UNARY_SECONDS

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def _proceed(
        self, continuation: Callable[[Details, Any], Awaitable[Any]], details: Details, request: Any
    ) -> Any:
        prepared, span = self._outgoing.prepare(details, default_seconds=self.default_seconds)
        call = await continuation(prepared, request)
        if span is not None:
            call.add_done_callback(end_with(span))
        return call


class _UnaryUnary(_Kind, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[Details, Any], Awaitable[Any]],
        client_call_details: Details,
        request: Any,
    ) -> Any:
        return await self._proceed(continuation, client_call_details, request)


class _UnaryStream(_Kind, grpc.aio.UnaryStreamClientInterceptor):
    # A response stream lasts as long as somebody listens.
    default_seconds = None

    async def intercept_unary_stream(
        self,
        continuation: Callable[[Details, Any], Awaitable[Any]],
        client_call_details: Details,
        request: Any,
    ) -> Any:
        return _responses(await self._proceed(continuation, client_call_details, request))


class _StreamUnary(_Kind, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Callable[[Details, Any], Awaitable[Any]],
        client_call_details: Details,
        request_iterator: Any,
    ) -> Any:
        return await self._proceed(continuation, client_call_details, request_iterator)


class _StreamStream(_Kind, grpc.aio.StreamStreamClientInterceptor):
    default_seconds = None

    async def intercept_stream_stream(
        self,
        continuation: Callable[[Details, Any], Awaitable[Any]],
        client_call_details: Details,
        request_iterator: Any,
    ) -> Any:
        return _responses(await self._proceed(continuation, client_call_details, request_iterator))


async def _responses(call: Any) -> AsyncIterator[Any]:
    """Read a response stream such that its reader's end is the call's end.

    grpc.aio forgets to cancel the call when its reader is cancelled between two of its own awaits, and
    leaves a stream that its reader dropped to the garbage collector.
    """
    try:
        async for response in call:
            yield response
    finally:
        call.cancel()
