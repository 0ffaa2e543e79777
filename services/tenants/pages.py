"""Pages of an owner's API keys and audit log, and of all clients, with the token of the next."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from services.runtime.paging import PageTokens
from services.tenants import wire
from services.tenants.audit import AuditEvent
from services.tenants.model import KeptApiKey, TenantId
from services.tenants.store import Directory

Setting = TypeVar("Setting")

DEFAULT_SIZE: Final = 50
_CLIENTS_AT_ONCE: Final = 1000
"""Of those whose settings a service keeps a copy of."""


class Asked(Protocol):
    page_size: int
    page_token: str


async def page_of_keys(
    directory: Directory, rpc: str, owner: TenantId, asked: Asked
) -> tuple[Sequence[KeptApiKey], str]:
    tokens = PageTokens(rpc, tenant=owner)
    size = asked.page_size or DEFAULT_SIZE
    before = wire.place_of_page(tokens.decode(asked.page_token))
    found = await directory.keys_before(owner, before, size + 1)
    page = found[:size]
    return page, tokens.encode(*wire.page_after(page[-1])) if len(found) > size else ""


async def page_of_events(
    directory: Directory, rpc: str, owner: TenantId, asked: Asked
) -> tuple[Sequence[AuditEvent], str]:
    tokens = PageTokens(rpc, tenant=owner)
    size = asked.page_size or DEFAULT_SIZE
    after = wire.sequence_of_page(tokens.decode(asked.page_token))
    found = await directory.events_after(owner, after, size + 1)
    page = found[:size]
    return page, tokens.encode(page[-1].sequence) if len(found) > size else ""


async def page_of_clients(
    rpc: str,
    asked: Asked,
    after: Callable[[TenantId | None, int], Awaitable[Sequence[tuple[TenantId, Setting]]]],
    *,
    size: int = _CLIENTS_AT_ONCE,
) -> tuple[Sequence[tuple[TenantId, Setting]], str]:
    """`after` gives so many of them that follow a client, by id; `size` counts where none is asked for."""
    tokens = PageTokens(rpc, tenant="")
    size = asked.page_size or size
    found = await after(wire.tenant_of_page(tokens.decode(asked.page_token)), size + 1)
    page = found[:size]
    return page, tokens.encode(page[-1][0]) if len(found) > size else ""
