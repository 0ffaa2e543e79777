"""Which client's knowledge bases are synced now: those that have waited longest, some at a time."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import structlog

from services.knowledge.bases import Bases
from services.knowledge.model import Source
from services.knowledge.syncing import Syncing
from services.knowledge.syncs import Syncs
from services.runtime.database import NOT_MIGRATED
from services.runtime.errors import DependencyUnavailable

_AT_ONCE: Final = 4
"""Clients, each with one of its knowledge bases: a large one does not hold the others up."""
_IDLE_SECONDS: Final = 1.0
_TOLD_AGAIN_SECONDS: Final = 60.0
# Readiness tells of a lost database, and what waits there goes on to wait.
_LATER: Final[tuple[type[Exception], ...]] = (DependencyUnavailable, TimeoutError, *NOT_MIGRATED)

_log = structlog.get_logger(__name__)


class Turns:
    def __init__(self, syncs: Syncs, bases: Bases, syncing: Syncing) -> None:
        self._syncs = syncs
        self._bases = bases
        self._syncing = syncing
        self._at_it: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, tuple[float, Mapping[Source, str]]] = {}

    async def run(self) -> None:
        """Until cancelled, and with it what is under way: another replica, or the next start, goes on."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._know_changes()
                    await self._begin_due_ones(group)
                except _LATER:
                    pass
                await asyncio.sleep(_IDLE_SECONDS)

    async def _know_changes(self) -> None:
        synced = self._bases.synced()
        if synced is None:
            return
        known = await self._syncs.known()
        now = time.monotonic()
        for tenant in {*synced, *known}:
            settings = synced.get(tenant, {})
            at, told = self._told.get(tenant, (0.0, None))
            if settings == known.get(tenant, {}):
                self._told.pop(tenant, None)
            elif told != settings or now - at > _TOLD_AGAIN_SECONDS:
                # Of a client who is suspended, they stay different.
                await self._syncs.know(tenant, settings)
                self._told[tenant] = now, settings

    async def _begin_due_ones(self, group: asyncio.TaskGroup) -> None:
        free = _AT_ONCE - len(self._at_it)
        if free <= 0:
            return
        due = await self._syncs.due(_AT_ONCE + len(self._at_it))
        for tenant in [each for each in due if each not in self._at_it][:free]:
            self._at_it[tenant] = group.create_task(self._sync(tenant))

    async def _sync(self, tenant: str) -> None:
        try:
            await self._syncing.sync_next(tenant)
        except Exception as error:  # noqa: BLE001 - a lost database, or a mistake of ours: others have turns
            _log.warning("knowledge_base_sync_cut_off", tenant_id=tenant, error=type(error).__name__)
        finally:
            del self._at_it[tenant]
            # What was told while it was under way did not end it: it began with what there was before.
            self._told.pop(tenant, None)
