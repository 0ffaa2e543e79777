"""Seals secrets again with the current key-encryption key, so that an older one can be thrown away."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.errors import TenantDeleting, TenantNotFound
from services.tenants.model import TenantId
from services.tenants.sealing import Sealer
from services.tenants.store import Directory

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reencrypted:
    tenants: Sequence[TenantId]
    """Looked at, by id."""
    secrets: int
    """Sealed again."""
    key_id: str
    """With which all of these are sealed now."""


async def reencrypt(
    directory: Directory, sealer: Sealer, *, after: TenantId | None, count: int, actor: Actor
) -> Reencrypted:
    """Look at so many tenants after that one; what is sealed with the current key is left alone."""
    tenants = [each.id for each in await directory.tenants_after(after, count)]
    key_id, secrets = await sealer.current_id(), 0
    for tenant in tenants:
        secrets += await _reencrypt(directory, sealer, key_id, tenant, actor)
    if secrets:
        _log.info("secrets_reencrypted", tenants=len(tenants), secrets=secrets, key_id=key_id)
    return Reencrypted(tenants, secrets, key_id)


async def _reencrypt(
    directory: Directory, sealer: Sealer, key_id: str, tenant: TenantId, actor: Actor
) -> int:
    try:
        async with directory.changing(tenant, actor) as change:
            old = await change.secrets_sealed_without(key_id)
            if old:
                before = ", ".join(sorted({each.sealed.key_id for each in old}))
                changed = FieldChange("key_id", f'"{before}"', f'"{key_id}"')
                await change.reseal(
                    [(each, await sealer.sealed_anew(each)) for each in old],
                    Action("ReencryptSecrets", "secrets", (changed,)),
                )
            return len(old)
    except (TenantDeleting, TenantNotFound):
        return 0  # on its way out
