"""The HTTP session in which adapters reach the tools of tenants who may reach the same networks."""

from collections.abc import Awaitable, Callable

from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver

from egress.guard import Guard, Refused
from egress.session import guarded_session
from ticketing.errors import AddressRefused


def tool_session(
    guard: Guard,
    timeout_seconds: float,
    *,
    before_each: Callable[[], Awaitable[None]] | None = None,
    resolver: AbstractResolver | None = None,
) -> ClientSession:
    """Open a guarded session (`egress.session`); what it may not reach is an `AddressRefused`."""
    return guarded_session(
        guard, timeout_seconds, refused_as=_refused, before_each=before_each, resolver=resolver
    )


def _refused(refused: Refused) -> AddressRefused:
    return AddressRefused(f"base_url {refused.what}", refused.next_step)
