"""The HTTP sessions in which plug-ins reach what clients have elsewhere."""

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
from egress.permits import Permits

# Shorter than Tomcat's, which serves several tools: who closes first is never surprised by a cut connection.
_KEEP_ALIVE_SECONDS: Final = 15.0


def guarded_session(
    guard: Guard,
    timeout_seconds: float,
    *,
    refused_as: Callable[[Refused], Exception],
    before_each: Callable[[], Awaitable[None]] | None = None,
    resolver: AbstractResolver | None = None,
) -> ClientSession:
    """Open a session that reaches what `guard` lets it; anything else raises what `refused_as` makes.

    `before_each` is awaited before each request is sent; what it raises comes out of the call, unsent. Names
    are looked up by the system unless a `resolver` is given. Within a running event loop.
    """

    async def refusing(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        try:
            return await send(request)
        except Refused as refused:
            raise refused_as(refused) from refused

    async def waiting(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        if before_each is not None:
            await before_each()
        return await send(request)

    guarded = GuardedHttp(guard, resolver=resolver)
    return ClientSession(
        connector=guarded.connector(keepalive_seconds=_KEEP_ALIVE_SECONDS),
        # A login that is opened for one tenant must not serve another.
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=timeout_seconds),
        middlewares=(refusing, guarded.middleware, waiting),
        # An installation behind a proxy names it in the environment.
        trust_env=True,
    )


class GuardedSessions:
    """One HTTP session for all tenants who may reach the same networks, and none for two who may not.

    So a connection that is kept alive is never handed to a tenant who could not have made it.
    """

    def __init__(self, permits: Permits, open_for: Callable[[Guard], ClientSession]) -> None:
        self._permits = permits
        self._sessions = {guard: open_for(guard) for guard in permits.guards}

    def of(self, tenant: str) -> ClientSession:
        return self._sessions[self._permits.guard(tenant)]

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
