"""Tenants' shares of the queue: settings of theirs, of which the queue keeps a copy to claim by."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog
from opentelemetry import trace

from dossier.tenants.v1.tenant_pb2 import QueueSettings
from dossier.tenants.v1.tenant_service_pb2 import QueueShare
from services.orchestrator.convert import WEIGHTS, weight_message
from services.orchestrator.errors import TenantNotFound
from services.orchestrator.peers import SUBJECT, PeerFailure, Peers
from services.runtime.caller import acting_for, current_caller
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable

_EVERY_SECONDS: Final = 1.5
"""So that a change is effective within two, also where nobody tells of it."""
# A look every second and a half would drown what traces are for.
_UNTRACED: Final = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))

_log = structlog.get_logger(__name__)


class Shares:
    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self._changed = asyncio.Event()
        self._known = True

    def tell(self, _: str | None) -> None:
        """Somebody's settings have changed."""
        self._changed.set()

    async def follow(self) -> None:
        """Keep the copy as the settings are, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self._apply()
            except (PeerFailure, DependencyUnavailable, TimeoutError) as failure:
                self._say(known=False, why=str(failure))
            else:
                self._say(known=True)
            await _first_of(self._changed, _EVERY_SECONDS)

    async def change(self, tenant: str, settings: QueueSettings, paths: Sequence[str]) -> None:
        """Change the tenant's settings for an operator, and the copy at once."""
        principal = current_caller().principal
        try:
            with acting_for(tenant, subject=SUBJECT, role="operator", on_behalf_of=principal):
                changed = await self._peers.change_queue_settings(tenant, settings, paths)
        except PeerFailure as failure:
            if failure.reason == "TENANT_NOT_FOUND":
                raise TenantNotFound(tenant) from failure
            raise DependencyUnavailable("tenants", failure.detail) from failure
        await self._keep(QueueShare(tenant_id=tenant, queue=changed), answered=time.monotonic())

    async def _apply(self) -> None:
        asked = time.monotonic()
        with trace.use_span(_UNTRACED), acting_for(None, subject=SUBJECT):
            shares = await self._peers.queue_shares()
        async with self._database.transaction() as connection:
            await connection.execute(
                "select orchestrator.apply_shares($1, $2, $3, $4)",
                [each.tenant_id for each in shares],
                [WEIGHTS[each.queue.weight] for each in shares],
                [each.queue.max_in_progress for each in shares],
                time.monotonic() - asked,  # since before this transaction's time: never taken to be newer
            )
            inherited = await connection.fetch("select * from orchestrator.inherited_shares()")
        for row in inherited:
            share = QueueSettings(
                weight=weight_message(row["weight"]), max_in_progress=row["max_in_progress"] or 0
            )
            await self._hand_over(row["tenant_id"], share)

    async def _hand_over(self, tenant: str, share: QueueSettings) -> None:
        """What was set here before shares were settings becomes one, or goes where the tenant is gone."""
        with acting_for(None, subject=SUBJECT, role="operator"):
            try:
                await self._peers.change_queue_settings(tenant, share, ["queue"])
            except PeerFailure as failure:
                if failure.reason != "TENANT_NOT_FOUND":
                    raise
                share = QueueSettings(weight=weight_message(1))
            else:
                _log.info("queue_share_handed_over", tenant_id=tenant)
        await self._keep(QueueShare(tenant_id=tenant, queue=share), answered=time.monotonic())

    async def _keep(self, share: QueueShare, *, answered: float) -> None:
        """Keep what tenants answered then, unless a look that began later found something else."""
        async with self._database.tenant(share.tenant_id) as connection:
            await connection.execute(
                """
                insert into orchestrator.queue_policies as p (tenant_id, weight, max_in_progress, read_time)
                values ($1, $2, nullif($3, 0), clock_timestamp() - make_interval(secs => $4))
                on conflict (tenant_id) do update
                set weight = excluded.weight, max_in_progress = excluded.max_in_progress, inherited = false,
                    read_time = excluded.read_time
                where p.read_time <= excluded.read_time or p.read_time > clock_timestamp()
                """,
                share.tenant_id,
                WEIGHTS[share.queue.weight],
                share.queue.max_in_progress,
                time.monotonic() - answered,
            )

    def _say(self, *, known: bool, why: str = "") -> None:
        if known != self._known:
            if known:
                _log.info("queue_shares_known")
            else:
                _log.warning("queue_shares_unknown", why=why)
        self._known = known


async def _first_of(told: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await told.wait()
    except TimeoutError:
        return
