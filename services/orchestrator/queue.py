"""How much of a tenant's work waits, and by which rules it is taken up."""

from dataclasses import dataclass
from typing import Final

from services.orchestrator.engine.backlog import Backlog, backlog
from services.orchestrator.model import TenantId
from services.runtime.database import Connection, Database

STANDARD: Final = 1
"""The weight of a tenant of whom nothing else is said."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """`weight` and `max_in_progress` are 0 for all tenants together."""

    backlog: Backlog
    paused: bool
    weight: int
    max_in_progress: int
    failed: int


class Queue:
    """A tenant's, or everybody's (`tenant` None)."""

    def __init__(self, database: Database, tenant: TenantId | None, *, default_cap: int) -> None:
        self._database = database
        self._tenant = tenant
        self._default_cap = default_cap

    async def state(self) -> QueueState:
        if self._tenant is None:
            async with self._database.transaction() as connection:
                everything = await _everything_paused(connection)
            return QueueState(
                await backlog(self._database), everything, weight=0, max_in_progress=0, failed=0
            )
        async with self._database.tenant(self._tenant) as connection:
            everything = await _everything_paused(connection)
            policy = await connection.fetchrow(
                """
                select weight, max_in_progress, pause_time
                from orchestrator.queue_policies where tenant_id = $1
                """,
                self._tenant,
            )
            failed: int = await connection.fetchval(
                "select count(*) from orchestrator.enhancements where tenant_id = $1 and state = 'failed'",
                self._tenant,
            )
        return QueueState(
            await backlog(self._database, tenant=self._tenant),
            paused=everything or (policy is not None and policy["pause_time"] is not None),
            weight=policy["weight"] if policy is not None else STANDARD,
            max_in_progress=(policy["max_in_progress"] if policy is not None else None) or self._default_cap,
            failed=failed,
        )

    async def pause(self) -> None:
        if self._tenant is None:
            async with self._database.transaction() as connection:
                await connection.execute(
                    "insert into orchestrator.pauses default values on conflict do nothing"
                )
            return
        async with self._database.tenant(self._tenant) as connection:
            await connection.execute(
                """
                insert into orchestrator.queue_policies as p (tenant_id, pause_time) values ($1, now())
                on conflict (tenant_id) do update set pause_time = coalesce(p.pause_time, now())
                """,
                self._tenant,
            )

    async def resume(self) -> None:
        if self._tenant is None:
            async with self._database.transaction() as connection:
                await connection.execute("delete from orchestrator.pauses")
            return
        async with self._database.tenant(self._tenant) as connection:
            await connection.execute(
                "update orchestrator.queue_policies set pause_time = null where tenant_id = $1", self._tenant
            )


async def _everything_paused(connection: Connection) -> bool:
    paused: bool = await connection.fetchval("select exists (select from orchestrator.pauses)")
    return paused
