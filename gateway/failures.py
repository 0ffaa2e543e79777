"""Wrong credentials, counted by the address that they come from: guessing is slow, and asks nobody.

Once an address has used up its failures of a minute, nothing that it sends is looked up any more, and what
does not prove itself gets 429; but now and then it is asked whether a known client's webhook secrets are
still those; its answer waits for that no more than a stranger's. What proves itself is let in as ever: a key
or a signature that fits what this gateway knew last. Webhooks of many clients come from one address of their
tool's maker, and who has an account there must not be able to stop them; nor is a client ever blocked by its
name, which anybody can send.

All gateways count together. A further one learns that an address is blocked by that address's next failure
there; guesses under way at once are let end.
"""

import math
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from grpc import StatusCode
from starlette.types import Scope

from gateway.counts import SharedCounts
from gateway.quota import Holder, Quota
from gateway.telemetry import limited_by
from services.runtime.errors import ServiceError

# What one customer of a provider gets at least: within it every request may come from another address.
_IPV6_PREFIX: Final = 64
_LONGEST: Final = 64


class AddressBlocked(ServiceError):
    """Too many wrong credentials came from this address in this minute."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_FAILURES"


class FailedAttempts:
    def __init__(self, per_minute: int, counts: SharedCounts | None) -> None:
        # Losing Redis must not open the door to guessing.
        self._quota = Quota("address-failures", per_minute, counts, open_without=False)

    def blocked(self, scope: Scope) -> AddressBlocked | None:
        """Say what an address that is blocked is to be told, where it does not prove itself."""
        seconds = self._quota.spent(_holder(scope))
        if not seconds:
            return None
        return AddressBlocked(
            f"too many wrong credentials came from your address; wait {math.ceil(seconds)} s",
            retry_after_seconds=seconds,
        )

    async def count(self, scope: Scope) -> None:
        holder = _holder(scope)
        await self._quota.take(holder)
        if self._quota.spent(holder):
            limited_by(self._quota.name).inc()


def _holder(scope: Scope) -> Holder:
    client = scope.get("client")
    return _known_as(client[0] if client else "")


@lru_cache(maxsize=4096)
def _known_as(host: str) -> Holder:
    try:
        address = ip_address(host)
    except ValueError:
        # A proxy may write what it likes.
        return Holder(name=host[:_LONGEST])
    if isinstance(address, IPv6Address):
        return Holder(name=str(ip_network((int(address), _IPV6_PREFIX), strict=False)))
    return Holder(name=host)
