"""Credentials of a client's knowledge bases: one secret for all of them, so that they are read at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.errors import KnowledgeBaseNotFound, TenantNotFound
from services.tenants.model import Secret, SecretKind, Tenant, TenantId
from services.tenants.sealing import KeptSecret, Place, Sealer, SecretUnreadable
from services.tenants.store import Directory
from services.tenants.store_change import Change

_KIND = SecretKind.KNOWLEDGE_BASES

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left of a secret without the credentials of some knowledge bases."""

    of: str
    """The id of the secret."""
    gone: frozenset[str]
    kept: KeptSecret | None
    """None where it stays as it is: nothing goes, or it does not open, for which the key may be to blame."""


@dataclass(frozen=True, slots=True)
class _Known:
    """`secret` is None where nothing is kept."""

    secret: KeptSecret | None
    credentials: Mapping[str, Mapping[str, str]] = field(repr=False)
    opens: bool = True

    async def is_current(self, change: Change) -> bool:
        live = await change.live_secrets(_KIND)
        return (live[0].id if live else None) == (self.secret.id if self.secret else None)


@dataclass(frozen=True, slots=True)
class KnowledgeCredentials:
    """Opens and seals outside of changes: a key management service may take its time, or be away."""

    directory: Directory
    sealer: Sealer

    async def set(self, tenant: TenantId, name: str, credentials: Mapping[str, str], *, actor: Actor) -> str:
        """The id of what is kept, which is kept also where there is nothing in it."""
        while True:
            found, known = await self._known(tenant)
            _require(name, found)
            bases = {base.name for base in found.knowledge_bases}
            others = {each: of_base for each, of_base in known.credentials.items() if each in bases}
            kept = await self._sealed(tenant, known, {**others, name: dict(credentials)})
            async with self.directory.changing(tenant, actor) as change:
                _require(name, change.tenant)
                # Otherwise another call was faster, whose credentials must stay.
                if await known.is_current(change):
                    changes = [FieldChange("names", "", orjson.dumps(sorted(credentials)).decode())]
                    if not known.opens:
                        lost = orjson.dumps(sorted(bases - {name})).decode()
                        changes.append(FieldChange("unreadable_of", lost, ""))
                    resource = f"knowledge_base_credentials/{name}/{kept.id}"
                    await change.let_expire(_KIND, None)
                    await change.add_secret(kept, Action("SetKnowledgeBaseCredentials", resource, changes))
                    break
        _log.info("knowledge_base_credentials_set", tenant_id=tenant, secret_id=kept.id)
        return kept.id

    async def reduced(self, tenant: TenantId, gone: frozenset[str]) -> Reduced | None:
        """None where nothing is kept."""
        _, known = await self._known(tenant)
        if known.secret is None:
            return None
        if not known.opens or not gone & known.credentials.keys():
            return Reduced(known.secret.id, gone, None)
        left = {name: of_base for name, of_base in known.credentials.items() if name not in gone}
        return Reduced(known.secret.id, gone, await self._sealed(tenant, known, left))

    async def drop(self, change: Change, gone: frozenset[str], reduced: Reduced | None) -> bool:
        """Within a change that takes these knowledge bases away, and whose event tells of it.

        False, and nothing is written, where `reduced` is not what is left of what is kept now.
        """
        live = await change.live_secrets(_KIND) if gone else ()
        if not live:
            return True
        if reduced is None or reduced.of != live[0].id or reduced.gone != gone:
            return False
        if reduced.kept is not None:
            await change.let_expire(_KIND, None)
            await change.replace_secret(reduced.kept)
        return True

    async def _known(self, tenant: TenantId) -> tuple[Tenant, _Known]:
        """What does not open must not keep away what is set in its place."""
        found, live = await self.directory.live_secrets(tenant, _KIND)
        if found is None:
            raise TenantNotFound(tenant)
        if not live:
            return found, _Known(None, {})
        try:
            return found, _Known(live[0], orjson.loads((await self.sealer.open(live[0])).reveal()))
        except SecretUnreadable as problem:
            _log.error("secret_unreadable", tenant_id=tenant, problem=str(problem))
            return found, _Known(live[0], {}, opens=False)

    async def _sealed(
        self, tenant: TenantId, known: _Known, credentials: Mapping[str, Mapping[str, str]]
    ) -> KeptSecret:
        version = known.secret.place.version + 1 if known.secret else 1
        return await self.sealer.seal(Secret(orjson.dumps(credentials)), Place(tenant, _KIND, version))


def _require(name: str, tenant: Tenant) -> None:
    if name not in {base.name for base in tenant.knowledge_bases}:
        raise KnowledgeBaseNotFound(tenant.id, name)
