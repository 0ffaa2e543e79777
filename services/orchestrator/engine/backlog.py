"""How much work waits."""

from dataclasses import dataclass

from services.orchestrator.engine.workflow import QUEUE
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class Backlog:
    waiting: int
    in_progress: int
    oldest_seconds: float
    """Age of what has waited longest; 0 when nothing waits."""


async def backlog(database: Database) -> Backlog:
    """Count over all tenants, from the engine's index of unfinished work: finished runs cost nothing."""
    async with database.transaction() as connection:
        (row,) = await connection.fetch(
            """
            select count(*) filter (where status = 'ENQUEUED') as waiting,
                   count(*) filter (where status = 'PENDING') as in_progress,
                   extract(epoch from now())
                       - min(created_at) filter (where status = 'ENQUEUED') / 1000.0 as oldest
            from dbos.workflow_status
            where queue_name = $1 and status in ('ENQUEUED', 'PENDING')
            """,
            QUEUE,
        )
    return Backlog(row["waiting"], row["in_progress"], max(0.0, float(row["oldest"] or 0)))
