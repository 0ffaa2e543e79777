"""Gives secrets to the two services that need them in the clear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from services.tenants.errors import TenantNotFound, TenantSuspended
from services.tenants.model import Limits, Secret, SecretKind, Tenant, TenantId, WebhookSecret
from services.tenants.sealing import KeyRing, Place
from services.tenants.store import Directory


@dataclass(frozen=True, slots=True)
class TicketingAccess:
    tenant: Tenant
    credentials: Mapping[str, str] = field(repr=False)


class Discloser:
    def __init__(self, directory: Directory, keys: KeyRing) -> None:
        self._directory = directory
        self._keys = keys
        self._decoy = keys.seal(Secret.random(), Place(TenantId(""), SecretKind.WEBHOOK, 0))

    async def webhook_secrets(self, tenant: TenantId, tool: str) -> tuple[Sequence[WebhookSecret], Limits]:
        """The newest first, and the tenant's limits. None for an unknown or suspended tenant or another tool.

        All of these take the same work, so that the time does not tell strangers which tenants there are.
        """
        found, kept = await self._directory.live_secrets(tenant, SecretKind.WEBHOOK)
        opened = [
            WebhookSecret(each.id, self._keys.open(each), each.expire_time) for each in kept or [self._decoy]
        ]
        if found is None or not found.served or found.ticketing.tool != tool:
            return (), Limits()
        return opened, found.limits

    async def ticketing_access(self, tenant: TenantId) -> TicketingAccess:
        access = await self.access_to_test(tenant)
        if not access.tenant.served:
            raise TenantSuspended(tenant)
        return access

    async def access_to_test(self, tenant: TenantId) -> TicketingAccess:
        """Of a suspended client, too: what it was suspended for may have to be mended first."""
        found, kept = await self._directory.live_secrets(tenant, SecretKind.TICKETING)
        if found is None:
            raise TenantNotFound(tenant)
        credentials = orjson.loads(self._keys.open(kept[0]).reveal()) if kept else {}
        return TicketingAccess(found, credentials)
