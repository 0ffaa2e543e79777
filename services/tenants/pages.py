"""Pages of an owner's API keys and audit log, with the token of the next."""

from collections.abc import Sequence
from typing import Final, Protocol

from services.runtime.paging import PageTokens
from services.tenants import wire
from services.tenants.audit import AuditEvent
from services.tenants.model import KeptApiKey, TenantId
from services.tenants.store import Directory

DEFAULT_SIZE: Final = 50


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
