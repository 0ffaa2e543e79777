"""Who works at what: a replica says every second that it is there, and takes over from those that do not.

DBOS resumes runs only under the name of the replica that began them. Here each process has a name of its own
and a lease; the runs of names without a live lease go back to the queue, found by whichever replica looks
first. The set is derived each time and never stored, so that a replica that dies while it recovers strands
nothing.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

import structlog

from services.orchestrator import telemetry
from services.orchestrator.engine.workflow import QUEUE
from services.orchestrator.model import State
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable

_RENEW_SECONDS: Final = 1.0
# As often a run may take its worker down before it is believed to be the cause.
_MOST_RECOVERIES: Final = 10

Holding: TypeAlias = tuple[str, str]
"""A run's id, and the token under which it is held."""

_log = structlog.get_logger(__name__)


class Lease:
    """The lease of one process; `lost` is told of runs that are worked at here and are not ours any more."""

    def __init__(
        self,
        database: Database,
        *,
        executor_id: str,
        seconds: float,
        at_work: Callable[[], Collection[Holding]],
        lost: Callable[[Collection[Holding]], None],
    ) -> None:
        self._database = database
        self._executor_id = executor_id
        self._seconds = seconds
        self._at_work = at_work
        self._lost = lost
        self._renewed = -seconds
        self._unbroken_since = time.monotonic()
        self._idle: set[str] = set()

    @property
    def left_seconds(self) -> float:
        """How long nobody else takes over what is worked at here."""
        return self._renewed + self._seconds - time.monotonic()

    async def keep(self) -> None:
        """Renew for ever; while the database is away, keep trying."""
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds / 2):
                    await self.renew()
                    if time.monotonic() - self._unbroken_since >= self._seconds:
                        # Else the others may have been as cut off as this one was, and are coming back.
                        await self._recover()
                    await self._compare()
            except (DependencyUnavailable, TimeoutError) as error:
                _log.warning("lease_not_renewed", reason=str(error) or "PostgreSQL is slow")
            await asyncio.sleep(max(0.0, min(_RENEW_SECONDS, self._seconds / 4) - (time.monotonic() - began)))

    async def renew(self) -> None:
        began = time.monotonic()
        if self.left_seconds < 0:
            self._unbroken_since = began
        async with self._database.transaction() as connection:
            await connection.execute(
                """
                insert into orchestrator.executors (executor_id, renew_time) values ($1, now())
                on conflict (executor_id) do update set renew_time = now()
                """,
                self._executor_id,
            )
        self._renewed = began

    async def give_up(self) -> int:
        """At the end: what is still claimed goes back at once; how many runs that was."""
        async with self._database.transaction() as connection:
            released: int = await connection.fetchval(
                "select orchestrator.release($1, $2)", QUEUE, self._executor_id
            )
            await connection.execute(
                "delete from orchestrator.executors where executor_id = $1", self._executor_id
            )
        return released

    async def _recover(self) -> None:
        async with self._database.transaction() as connection:
            (row,) = await connection.fetch(
                "select * from orchestrator.recover($1, $2, $3)", QUEUE, self._seconds, _MOST_RECOVERIES
            )
        if row["recovered"] or row["buried"]:
            telemetry.RECOVERED.inc(row["recovered"])
            telemetry.FINISHED.labels(outcome=State.FAILED.value).inc(row["buried"])
            _log.warning("runs_recovered", recovered=row["recovered"], given_up=row["buried"])

    async def _compare(self) -> None:
        """What the engine holds to be ours with what is worked at here; either may have lost the other."""
        before = set(self._at_work())
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                """
                select workflow_uuid, owner_xid from dbos.workflow_status
                where queue_name = $1 and status = 'PENDING' and executor_id = $2
                """,
                QUEUE,
                self._executor_id,
            )
        ours = {(row["workflow_uuid"], row["owner_xid"]) for row in rows}
        # By its token: the same run may have been cancelled, retried and claimed here again.
        lost = before - ours
        if lost:
            self._lost(lost)
        # Twice in a row: what was only just claimed is not at work yet.
        idle = {run for run, _ in ours - before - set(self._at_work())}
        abandoned = idle & self._idle
        self._idle = idle
        if abandoned:
            async with self._database.transaction() as connection:
                await connection.execute(
                    "select orchestrator.disown($1, $2, $3)", QUEUE, self._executor_id, list(abandoned)
                )
            _log.warning("runs_disowned", runs=len(abandoned))
