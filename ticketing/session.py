"""The HTTP session in which adapters reach the tools of tenants who may reach the same networks."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from aiohttp.abc import AbstractResolver

from egress.guard import Guard, Refused
from egress.http import GuardedHttp
from ticketing.errors import AddressRefused

# Shorter than Tomcat's, which serves several tools: who closes first is never surprised by a cut connection.
_KEEP_ALIVE_SECONDS: Final = 15.0


def tool_session(
    guard: Guard,
    timeout_seconds: float,
    *,
    before_each: Callable[[], Awaitable[None]] | None = None,
    resolver: AbstractResolver | None = None,
) -> ClientSession:
    """Open a session that reaches what `guard` lets it; what else is asked for is an `AddressRefused`.

    `before_each` is awaited before each request is sent; what it raises comes out of the call, unsent. Names
    are looked up by the system unless a `resolver` is given. Within a running event loop.
    """

    async def refusing(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        try:
            return await send(request)
        except Refused as refused:
            raise AddressRefused(f"base_url {refused.what}", refused.next_step) from refused

    async def waiting(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        if before_each is not None:
            await before_each()
        return await send(request)

    guarded = GuardedHttp(guard, resolver=resolver)
    return ClientSession(
        connector=guarded.connector(keepalive_seconds=_KEEP_ALIVE_SECONDS),
        # A login that a tool opens for one tenant must not serve another.
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=timeout_seconds),
        middlewares=(refusing, guarded.middleware, waiting),
        # An installation behind a proxy names it in the environment.
        trust_env=True,
    )
