"""How much of a tenant's work waits, and by which rules it is taken up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit.changes import FieldChange, changed
from audit.event import OPERATOR, Action, Actor
from services.orchestrator.engine.backlog import Backlog, backlog
from services.orchestrator.model import TenantId
from services.orchestrator.store import AUDIT
from services.runtime.database import Connection, Database, Row

STANDARD: Final = 1
"""The weight of a tenant of whom nothing else is said."""
_STEERED: Final = ("weight", "max_in_progress")


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

    async def pause(self, *, by: Actor) -> None:
        if self._tenant is None:
            async with self._database.tenant(OPERATOR) as connection:
                paused = await connection.execute(
                    "insert into orchestrator.pauses default values on conflict do nothing"
                )
                await self._tell_pause(connection, by, before=paused == "INSERT 0 0", after=True)
            return
        async with self._database.tenant(self._tenant) as connection:
            policy = await self._locked_policy(connection)
            await connection.execute(
                """
                update orchestrator.queue_policies set pause_time = coalesce(pause_time, now())
                where tenant_id = $1
                """,
                self._tenant,
            )
            await self._tell_pause(connection, by, before=policy["pause_time"] is not None, after=True)

    async def resume(self, *, by: Actor) -> None:
        if self._tenant is None:
            async with self._database.tenant(OPERATOR) as connection:
                resumed = await connection.execute("delete from orchestrator.pauses")
                await self._tell_pause(connection, by, before=resumed != "DELETE 0", after=False)
            return
        async with self._database.tenant(self._tenant) as connection:
            policy = await self._locked_policy(connection)
            await connection.execute(
                "update orchestrator.queue_policies set pause_time = null where tenant_id = $1", self._tenant
            )
            await self._tell_pause(connection, by, before=policy["pause_time"] is not None, after=False)

    async def _locked_policy(self, connection: Connection) -> Row:
        """The tenant's own, made where it had the defaults only."""
        await connection.execute(
            "insert into orchestrator.queue_policies (tenant_id) values ($1) on conflict do nothing",
            self._tenant,
        )
        (policy,) = await connection.fetch(
            "select * from orchestrator.queue_policies where tenant_id = $1 for update", self._tenant
        )
        return policy

    async def _tell_pause(self, connection: Connection, by: Actor, *, before: bool, after: bool) -> None:
        changes = changed({"paused": before}, {"paused": after})
        await self._tell(connection, by, "PauseQueue" if after else "ResumeQueue", changes)

    async def _tell(
        self, connection: Connection, by: Actor, name: str, changes: Sequence[FieldChange]
    ) -> None:
        if changes:
            await AUDIT.add(connection, self._tenant or OPERATOR, by, Action(name, "queue", changes))


async def _everything_paused(connection: Connection) -> bool:
    paused: bool = await connection.fetchval("select exists (select from orchestrator.pauses)")
    return paused
