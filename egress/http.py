"""Holds aiohttp to a guard: what is connected to is what was checked, however a name's answers change."""

import asyncio
import errno
import socket
from contextlib import suppress
from contextvars import ContextVar
from typing import Final

from aiohttp import (
    AddrInfoType,
    ClientConnectorError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult

from egress.guard import Guard, Refused

# Behind a proxy names of the outside often have no answer within, and some resolvers then stay silent.
_LOOK_SECONDS: Final = 2.0

_to_proxy: ContextVar[bool] = ContextVar("dossier_egress_to_proxy", default=False)


class GuardedResolver(AbstractResolver):
    """Gives only answers that may be connected to, all of them or none."""

    def __init__(self, guard: Guard, resolver: AbstractResolver) -> None:
        self._guard = guard
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not _to_proxy.get():
            self._guard.check_addresses(each["host"] for each in found)
        return found

    async def close(self) -> None:
        await self._resolver.close()


class GuardedHttp:
    """The two parts of a session that is held to `guard`: its connector, and a middleware before what sends.

    Without the middleware the connector refuses proxies, and says less well why it refuses addresses.
    Within a running event loop.
    """

    def __init__(self, guard: Guard, *, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = GuardedResolver(guard, resolver or ThreadedResolver())

    def connector(self, *, keepalive_seconds: float) -> TCPConnector:
        return TCPConnector(
            # As many connections as there is work: one tenant's slow server must not use up the others'.
            limit=0,
            keepalive_timeout=keepalive_seconds,
            resolver=self._resolver,
            socket_factory=self._socket,
        )

    async def middleware(self, request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        """Raises `Refused` before anything is connected to."""
        target = self._guard.check_url(str(request.url.origin()))
        proxied = request.proxy is not None
        if proxied and not target.is_literal_address:
            # Where the proxy will lead, only the proxy knows; what can be known here is refused here.
            with suppress(OSError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._resolver.resolve(target.host, target.port)
        before = _to_proxy.set(proxied)
        try:
            return await send(request)
        except ClientConnectorError as error:
            if isinstance(error.os_error.__cause__, Refused):
                raise error.os_error.__cause__ from error
            raise
        finally:
            _to_proxy.reset(before)

    def _socket(self, address_info: AddrInfoType) -> socket.socket:
        """Called with each address right before it is connected to, whichever way it was come by."""
        family, kind, protocol, _, address = address_info
        if not _to_proxy.get():
            try:
                self._guard.check_addresses([str(address[0])])
            except Refused as refused:
                raise PermissionError(errno.EACCES, str(refused)) from refused
        return socket.socket(family, kind, protocol)
