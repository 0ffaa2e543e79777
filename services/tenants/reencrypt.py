"""Seals secrets again with the current key-encryption key, so that an older one can be thrown away."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.errors import TenantDeleting, TenantNotFound
from services.tenants.model import TenantId
from services.tenants.sealing import KeptSecret, Sealed, Sealer, SecretUnreadable
from services.tenants.store import Directory

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reencrypted:
    tenants: Sequence[TenantId]
    """Looked at, by id."""
    secrets: int
    """Sealed again."""
    unreadable: Sequence[KeptSecret]
    """Left as they are: they do not open."""
    key_id: str
    """With which all others of these are sealed now."""


async def reencrypt(
    directory: Directory, sealer: Sealer, *, after: TenantId | None, count: int, actor: Actor
) -> Reencrypted:
    """Look at so many tenants after that one; what is sealed with the current key is left alone."""
    tenants = [each.id for each in await directory.tenants_after(after, count)]
    key_id, secrets, unreadable = await sealer.current_id(), 0, list[KeptSecret]()
    for tenant in tenants:
        # Outside the change: a key management service may take its time.
        anew = list[tuple[KeptSecret, Sealed]]()
        for old in await directory.secrets_sealed_without(tenant, key_id):
            try:
                anew.append((old, await sealer.sealed_anew(old)))
            except SecretUnreadable as problem:
                _log.error("secret_unreadable", tenant_id=tenant, problem=str(problem))
                unreadable.append(old)
        secrets += await _reseal(directory, key_id, tenant, anew, actor) if anew else 0
    if secrets:
        _log.info("secrets_reencrypted", tenants=len(tenants), secrets=secrets, key_id=key_id)
    return Reencrypted(tenants, secrets, unreadable, key_id)


async def _reseal(
    directory: Directory,
    key_id: str,
    tenant: TenantId,
    anew: Sequence[tuple[KeptSecret, Sealed]],
    actor: Actor,
) -> int:
    before = ", ".join(sorted({old.sealed.key_id for old, _ in anew}))
    changed = FieldChange("key_id", f'"{before}"', f'"{key_id}"')
    try:
        async with directory.changing(tenant, actor) as change:
            return await change.reseal(anew, Action("ReencryptSecrets", "secrets", (changed,)))
    except (TenantDeleting, TenantNotFound):
        return 0  # on its way out
