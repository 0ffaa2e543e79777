"""A channel over mutual TLS that lives longer than its certificate."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

import grpc

from services.runtime.tls import TlsFiles, channel_credentials

# A call that was just being made on a channel that is replaced has begun by then.
_BEGUN_SECONDS: Final = 5.0
# Streams are begun anew at least this often.
_GRACE_SECONDS: Final = 3600.0

Open = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class RenewingChannel(grpc.aio.Channel):
    """Opens a new channel when the certificate's files are replaced, since gRPC's cannot change theirs.

    New calls go over the new channel; those under way end on the old one.
    """

    def __init__(self, files: TlsFiles, open_with: Open) -> None:
        self._certificates = files.watched()
        self._open = open_with
        self._channel = self._opened()
        self._retiring: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def current(self) -> grpc.aio.Channel:
        if self._certificates.renewed():
            old, self._channel = self._channel, self._opened()
            self._retiring[old] = asyncio.create_task(self._retire(old))
        return self._channel

    def unary_unary(self, *method: Any, **how: Any) -> Any:
        return _Callable(self, lambda channel: channel.unary_unary(*method, **how))

    def unary_stream(self, *method: Any, **how: Any) -> Any:
        return _Callable(self, lambda channel: channel.unary_stream(*method, **how))

    def stream_unary(self, *method: Any, **how: Any) -> Any:
        return _Callable(self, lambda channel: channel.stream_unary(*method, **how))

    def stream_stream(self, *method: Any, **how: Any) -> Any:
        return _Callable(self, lambda channel: channel.stream_stream(*method, **how))

    async def close(self, grace: float | None = None) -> None:
        for old, retiring in list(self._retiring.items()):
            retiring.cancel()
            await old.close(grace)
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.current().channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _opened(self) -> grpc.aio.Channel:
        return self._open(channel_credentials(self._certificates.current))

    async def _retire(self, old: grpc.aio.Channel) -> None:
        await asyncio.sleep(_BEGUN_SECONDS)
        await old.close(_GRACE_SECONDS)
        del self._retiring[old]


class _Callable:
    """An RPC that is bound anew, once, to each new channel."""

    def __init__(self, channel: RenewingChannel, bind: Callable[[grpc.aio.Channel], Any]) -> None:
        self._channel = channel
        self._bind = bind
        self._bound_to = channel.current()
        self._call = bind(self._bound_to)

    def __call__(self, *request: Any, **how: Any) -> Any:
        current = self._channel.current()
        if current is not self._bound_to:
            self._bound_to = current
            self._call = self._bind(current)
        return self._call(*request, **how)
