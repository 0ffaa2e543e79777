"""Gives secrets to the services that need them in the clear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
import structlog
from async_lru import alru_cache

from services.tenants.errors import TenantNotFound, TenantSuspended
from services.tenants.model import OPERATOR, Limits, Secret, SecretKind, Tenant, TenantId, WebhookSecret
from services.tenants.sealing import KeptSecret, Place, Sealer, SecretUnreadable
from services.tenants.store import Directory

# The key it is sealed with may go.
_DECOY_SECONDS: Final = 3600

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TicketingAccess:
    tenant: Tenant
    credentials: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnowledgeBaseAccess:
    """`credentials` by the knowledge base's name; `secret_id` changes with any of them."""

    tenant: Tenant
    credentials: Mapping[str, Mapping[str, str]] = field(repr=False)
    secret_id: str


class Discloser:
    def __init__(self, directory: Directory, sealer: Sealer) -> None:
        self._directory = directory
        self._sealer = sealer
        self._decoy = alru_cache(maxsize=1, ttl=_DECOY_SECONDS)(self._make_decoy)

    async def webhook_secrets(self, tenant: TenantId, tool: str) -> tuple[Sequence[WebhookSecret], Limits]:
        """The newest first, and the tenant's limits. None for an unknown or suspended tenant or another tool.

        All of these take the same work, so that the time does not tell strangers which tenants there are.
        """
        found, kept = await self._directory.live_secrets(tenant, SecretKind.WEBHOOK)
        opened = await self._opened(kept) if kept else await self._open_decoy(tenant)
        if found is None or not found.served or found.ticketing.tool != tool:
            return (), Limits()
        return opened, found.limits

    async def _opened(self, kept: Sequence[KeptSecret]) -> Sequence[WebhookSecret]:
        """Those that open: while a secret is replaced, the other one goes on to count.

        Raises `SecretUnreadable` when none does.
        """
        opened, unreadable = list[WebhookSecret](), list[SecretUnreadable]()
        for each in kept:
            try:
                secret = await self._sealer.open(each)
            except SecretUnreadable as problem:
                _log.error("secret_unreadable", tenant_id=each.place.tenant, problem=str(problem))
                unreadable.append(problem)
            else:
                opened.append(WebhookSecret(each.id, secret, each.expire_time))
        if not opened:
            raise unreadable[0]
        return opened

    async def _open_decoy(self, stranger: TenantId) -> Sequence[WebhookSecret]:
        """Under the stranger's name, so that it is looked up and remembered as a client's is."""
        try:
            return await self._opened([replace(await self._decoy(), id=stranger)])
        except SecretUnreadable:
            # Its key-encryption key has gone meanwhile.
            self._decoy.cache_clear()
            return await self._opened([replace(await self._decoy(), id=stranger)])

    async def ticketing_access(self, tenant: TenantId) -> TicketingAccess:
        access = await self.access_to_test(tenant)
        if not access.tenant.served:
            raise TenantSuspended(tenant)
        return access

    async def access_to_test(self, tenant: TenantId) -> TicketingAccess:
        """Of a suspended client, too: what it was suspended for may have to be mended first."""
        found, kept = await self._known(tenant, SecretKind.TICKETING)
        return TicketingAccess(found, await self._held(kept))

    async def knowledge_base_access(self, tenant: TenantId) -> KnowledgeBaseAccess:
        found, kept = await self._known(tenant, SecretKind.KNOWLEDGE_BASES)
        if not found.served:
            raise TenantSuspended(tenant)
        return KnowledgeBaseAccess(found, await self._held(kept), kept[0].id if kept else "")

    async def _known(self, tenant: TenantId, kind: SecretKind) -> tuple[Tenant, Sequence[KeptSecret]]:
        found, kept = await self._directory.live_secrets(tenant, kind)
        if found is None:
            raise TenantNotFound(tenant)
        return found, kept

    async def _held(self, kept: Sequence[KeptSecret]) -> Any:
        """What the current one holds, by name; nothing where there is none."""
        return orjson.loads((await self._sealer.open(kept[0])).reveal()) if kept else {}

    async def _make_decoy(self) -> KeptSecret:
        return await self._sealer.seal(Secret.random(), Place(OPERATOR, SecretKind.WEBHOOK, 0))
