"""The HTTP session in which connectors reach the knowledge bases of tenants with the same permits."""

from aiohttp import ClientSession

from egress.guard import Guard, Refused
from egress.session import guarded_session
from knowledgebases.errors import AddressRefused


def knowledge_base_session(guard: Guard, timeout_seconds: float) -> ClientSession:
    """Open a guarded session (`egress.session`); what it may not reach is an `AddressRefused`."""
    return guarded_session(guard, timeout_seconds, refused_as=_refused)


def _refused(refused: Refused) -> AddressRefused:
    return AddressRefused(f"base_url {refused.what}", refused.next_step)
