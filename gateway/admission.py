"""Whether a request to the REST API comes in: from whom, from where, and how many have come already."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from starlette.types import Scope

from gateway.asgi import header
from gateway.authentication import Authenticator, CredentialsMissing
from gateway.clients import Clients
from gateway.errors import ServiceFailed
from gateway.failures import FailedAttempts
from gateway.identity import Identity
from gateway.limits import Limits, RateLimitExceeded
from gateway.oidc.keys import IssuerUnavailable
from services.runtime.caller import Caller
from services.runtime.errors import TokenExpired, Unauthenticated

_LOOK_AGAIN_SECONDS: Final = 2.0
"""A limit may have been raised, a key revoked."""


_TENANT_HEADER: Final = b"x-dossier-tenant"
_TENANT_VARIABLE: Final = "tenant_id"


class Admission:
    def __init__(
        self, authenticator: Authenticator, clients: Clients, failures: FailedAttempts, limits: Limits
    ) -> None:
        self._authenticator = authenticator
        self._clients = clients
        self._failures = failures
        self._limits = limits

    async def caller(self, scope: Scope) -> Caller:
        identity = await self._identified(scope)
        caller = await self._acting(identity, scope)
        await self._limits.request(scope, credential=identity, tenant=caller.tenant)
        return caller

    async def confirm(self, scope: Scope) -> None:
        """Raise a `ServiceError` where the credentials that came in are no good any more."""
        try:
            identity = await self._authenticator.identify(scope, known_only=False)
            await self._acting(identity, scope)
        except (ServiceFailed, IssuerUnavailable):
            # Nobody can say so while whoever knows is away; who came in stays.
            return

    async def body(self, scope: Scope, caller: Caller, size: int) -> None:
        """Count what the caller has sent."""
        await self._limits.body(scope, tenant=caller.tenant, size=size)

    async def rows(self, scope: Scope, caller: Caller, most: int) -> int:
        """Count as many of these rows as are let in now; how many that is."""
        return await self._limits.rows(scope, tenant=caller.tenant, most=most)

    async def rows_in_time(self, scope: Scope, caller: Caller, most: int, *, until: float) -> int:
        """The same, but wait for it; only as long as the credentials are good."""
        while True:
            # What has expired was good when the request came, and is nothing that can be revoked.
            with suppress(TokenExpired):
                await self.confirm(scope)
            try:
                return await self._limits.rows(scope, tenant=caller.tenant, most=most)
            except RateLimitExceeded as over:
                wait = over.retry_after_seconds or 0.0
                if time.monotonic() + wait > until:
                    raise
            await asyncio.sleep(min(wait, _LOOK_AGAIN_SECONDS))

    async def _acting(self, identity: Identity, scope: Scope) -> Caller:
        caller = identity.acting_for(header(scope, _TENANT_HEADER) or _in_path(identity, scope))
        if caller.tenant is not None and caller.tenant != identity.vouched:
            require = self._clients.require_known if identity.of_staff else self._clients.require_served
            await require(caller.tenant)
        return caller

    async def _identified(self, scope: Scope) -> Identity:
        blocked = self._failures.blocked(scope)
        try:
            return await self._authenticator.identify(scope, known_only=blocked is not None)
        except CredentialsMissing:
            # Nothing was guessed.
            raise
        except Unauthenticated:
            if blocked is not None:
                raise blocked from None
            await self._failures.count(scope)
            raise


def _in_path(identity: Identity, scope: Scope) -> str | None:
    """Name the client that the path is about, for who has none of their own and may not know all."""
    if identity.tenant is not None or identity.knows_all:
        return None
    named: str | None = scope["path_params"].get(_TENANT_VARIABLE)
    return named
