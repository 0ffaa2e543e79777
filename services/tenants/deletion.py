"""Deletes a client, whatever is down or restarted meanwhile, and is done when nothing was found twice.

Each round asks every store to erase and to count. Work that was under way when the deletion began may still
write: answers that are being bought, a webhook that a gateway still took for good. So when a round has found
nothing, another has to, after a pause that is longer than such work and every cache. Then the client itself
goes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from audit.event import Actor
from services.runtime.errors import DependencyUnavailable
from services.tenants.deletions import CLIENT, Deletion, Deletions, Round, Store
from services.tenants.errors import TenantNotFound
from services.tenants.model import TenantId
from services.tenants.remnants import Remnants
from services.tenants.store import Directory
from tenantdata.rows import Erased, TenantRows

_POLL_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Keeper(Protocol):
    """A place where something of clients is kept; raises `DependencyUnavailable` while it does not answer."""

    @property
    def name(self) -> str: ...

    async def count(self, tenant: str) -> Mapping[str, int]: ...

    async def erase(self, tenant: str) -> Erased: ...


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The directory's own, but for the client itself."""

    rows: TenantRows
    name: str = "tenants"

    async def count(self, tenant: str) -> Mapping[str, int]:
        return await self.rows.count(tenant, without=CLIENT)

    async def erase(self, tenant: str) -> Erased:
        return await self.rows.erase(tenant, without=CLIENT)


class Deleter:
    def __init__(
        self,
        directory: Directory,
        deletions: Deletions,
        keepers: Sequence[Keeper],
        remnants: Remnants,
        *,
        pause_seconds: float,
    ) -> None:
        self._directory = directory
        self._deletions = deletions
        self._keepers = keepers
        self._remnants = remnants
        self._pause_seconds = pause_seconds
        self._begun = asyncio.Event()

    async def begin(self, tenant: TenantId, actor: Actor) -> Deletion:
        remnants = await self._remain(tenant)
        deletion = await self._deletions.begin(tenant, actor, remnants=remnants)
        await self._directory.announce(tenant)
        _log.info("tenant_deletion_begun", tenant_id=tenant, deletion_id=deletion.id)
        self._begun.set()
        return deletion

    async def preview(self, tenant: TenantId, actor: Actor) -> Deletion:
        """Say what would be removed."""
        await self._remain(tenant)
        stores = await asyncio.gather(*(_counted(keeper, tenant) for keeper in self._keepers))
        return Deletion(
            id="",
            tenant=tenant,
            actor=actor,
            request_time=None,
            audit_events=0,
            audit_head=b"",
            stores={keeper.name: store for keeper, store in zip(self._keepers, stores, strict=True)},
        )

    async def _remain(self, tenant: TenantId) -> bool:
        """Whether it is only of a former client that something is left. Raises `TenantNotFound`."""
        if await self._directory.tenant(tenant) is not None:
            return False
        if not await self._remnants.of(tenant):
            raise TenantNotFound(tenant)
        return True

    async def run(self) -> None:
        """Go on with what is under way, for ever."""
        while True:
            self._begun.clear()
            try:
                # One after the other: each holds a connection while its round lasts.
                for deletion in await self._deletions.under_way():
                    async with self._deletions.round_of(deletion) as this:
                        if this is not None:
                            await self._go_on(this)
            except (DependencyUnavailable, TimeoutError) as error:
                _log.warning("tenant_deletions_wait", reason=str(error) or "PostgreSQL is slow")
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._begun.wait()
            except TimeoutError:
                continue

    async def _go_on(self, this: Round) -> None:
        tenant, since = this.deletion.tenant, this.deletion.verify_time
        if since is not None and (datetime.now(UTC) - since).total_seconds() < self._pause_seconds:
            return
        found = await asyncio.gather(*(_erased(keeper, tenant) for keeper in self._keepers))
        clean = all(store.is_clean and not store.removed for store in found)
        stores = {keeper.name: store for keeper, store in zip(self._keepers, found, strict=True)}
        await this.record(stores, clean=clean)
        if clean and since is not None and await this.end():
            _log.info("tenant_deleted", tenant_id=tenant, deletion_id=this.deletion.id)


async def _counted(keeper: Keeper, tenant: TenantId) -> Store:
    try:
        return Store(left=await keeper.count(tenant))
    except DependencyUnavailable as away:
        return Store(awaited=away.message)


async def _erased(keeper: Keeper, tenant: TenantId) -> Store:
    try:
        erased = await keeper.erase(tenant)
    except DependencyUnavailable as away:
        _log.info("tenant_deletion_waits", tenant_id=tenant, store=keeper.name, reason=away.message)
        return Store(awaited=away.message)
    except Exception:  # noqa: BLE001 - the service goes on for all other clients
        _log.exception("tenant_deletion_fails", tenant_id=tenant, store=keeper.name)
        return Store(awaited=f"{keeper.name} fails; its log says why")
    return Store(erased.removed, erased.left)
