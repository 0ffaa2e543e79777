"""The HTTP session in which adapters reach the tools of all tenants."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)

# Shorter than Tomcat's, which serves several tools: who closes first is never surprised by a cut connection.
_KEEP_ALIVE_SECONDS: Final = 15.0


def tool_session(
    timeout_seconds: float, *, before_each: Callable[[], Awaitable[None]] | None = None
) -> ClientSession:
    """`before_each` is awaited before each request is sent; what it raises comes out of the call, unsent.

    Within a running event loop.
    """

    async def waiting(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        if before_each is not None:
            await before_each()
        return await send(request)

    return ClientSession(
        # As many connections as there is work: one tenant's slow tool must not use up those of the others.
        connector=TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
        # A login that a tool opens for one tenant must not serve another.
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=timeout_seconds),
        middlewares=(waiting,),
        # An installation behind a proxy names it in the environment.
        trust_env=True,
    )
