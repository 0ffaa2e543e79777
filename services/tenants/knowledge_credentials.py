"""Credentials of a client's knowledge bases: one secret for all of them, so that they are read at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import orjson
import structlog

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.errors import KnowledgeBaseNotFound
from services.tenants.model import Secret, SecretKind, TenantId
from services.tenants.sealing import KeptSecret, Place, Sealer
from services.tenants.store import Directory
from services.tenants.store_change import Change

_KIND = SecretKind.KNOWLEDGE_BASES

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KnowledgeCredentials:
    directory: Directory
    sealer: Sealer

    async def set(self, tenant: TenantId, name: str, credentials: Mapping[str, str], *, actor: Actor) -> str:
        """The id of what is kept, which is kept also where there is nothing in it."""
        async with self.directory.changing(tenant, actor) as change:
            if name not in {base.name for base in change.tenant.knowledge_bases}:
                raise KnowledgeBaseNotFound(tenant, name)
            kept = await self._sealed(change, {**await self._known(change), name: dict(credentials)})
            names = FieldChange("names", "", orjson.dumps(sorted(credentials)).decode())
            resource = f"knowledge_base_credentials/{name}/{kept.id}"
            await change.add_secret(kept, Action("SetKnowledgeBaseCredentials", resource, [names]))
        _log.info("knowledge_base_credentials_set", tenant_id=tenant, secret_id=kept.id)
        return kept.id

    async def keep_only(self, change: Change, names: Collection[str]) -> None:
        """Within a change that takes knowledge bases away, and whose event tells of it."""
        known = await self._known(change)
        left = {name: of_base for name, of_base in known.items() if name in names}
        if left != known:
            await change.replace_secret(await self._sealed(change, left))

    async def _known(self, change: Change) -> dict[str, dict[str, str]]:
        live = await change.live_secrets(_KIND)
        known: dict[str, dict[str, str]] = (
            orjson.loads((await self.sealer.open(live[0])).reveal()) if live else {}
        )
        return known

    async def _sealed(self, change: Change, credentials: Mapping[str, Mapping[str, str]]) -> KeptSecret:
        version = await change.next_version(_KIND)
        await change.let_expire(_KIND, None)
        return await self.sealer.seal(
            Secret(orjson.dumps(credentials)), Place(change.tenant.id, _KIND, version)
        )
