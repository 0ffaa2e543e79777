"""Whether a request to the REST API comes in: from whom, from where, and how many have come already."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from starlette.types import Scope

from gateway.authentication import Authenticator, CredentialsMissing, for_tenant
from gateway.errors import ServiceFailed
from gateway.failures import FailedAttempts
from gateway.limits import Limits, RateLimitExceeded
from services.runtime.caller import Caller
from services.runtime.errors import TokenExpired, Unauthenticated

_LOOK_AGAIN_SECONDS: Final = 2.0
"""A limit may have been raised, a key revoked."""


class Admission:
    def __init__(self, authenticator: Authenticator, failures: FailedAttempts, limits: Limits) -> None:
        self._authenticator = authenticator
        self._failures = failures
        self._limits = limits

    async def caller(self, scope: Scope) -> Caller:
        credential = await self._identified(scope)
        caller = for_tenant(credential, scope)
        await self._limits.request(scope, credential=credential, tenant=caller.tenant)
        return caller

    async def confirm(self, scope: Scope) -> None:
        """Raise `Unauthenticated` where the credentials that came in are no good any more."""
        try:
            await self._authenticator.holder(scope, known_only=False)
        except ServiceFailed:
            # Nobody can say so while the tenants service is away; who came in stays.
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

    async def _identified(self, scope: Scope) -> Caller:
        blocked = self._failures.blocked(scope)
        try:
            return await self._authenticator.holder(scope, known_only=blocked is not None)
        except CredentialsMissing:
            # Nothing was guessed.
            raise
        except Unauthenticated:
            if blocked is not None:
                raise blocked from None
            await self._failures.count(scope)
            raise
