"""How much work waits, over all tenants."""

from dataclasses import dataclass

from services.orchestrator.engine.workflow import QUEUE
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class Backlog:
    waiting: int
    delayed: int
    in_progress: int
    oldest_seconds: float
    """How long what has waited longest does so since it was last ready for a worker; 0 when nothing waits."""


async def backlog(database: Database, *, tenant: str | None = None) -> Backlog:
    """Count from the engine's indexes of unfinished work: finished runs cost nothing."""
    async with database.transaction() as connection:
        (row,) = await connection.fetch(
            """
            select count(*) filter (where status = 'ENQUEUED') as waiting,
                   count(*) filter (where status = 'PENDING') as in_progress,
                   (
                       select count(*) from dbos.workflow_status
                       where status = 'DELAYED' and queue_name = $1
                           and ($2::text is null or queue_partition_key = $2)
                   ) as delayed,
                   extract(epoch from now())
                       - min(greatest(updated_at, delay_until_epoch_ms)) filter (where status = 'ENQUEUED')
                         / 1000.0 as oldest
            from dbos.workflow_status
            where queue_name = $1 and status in ('ENQUEUED', 'PENDING')
                and ($2::text is null or queue_partition_key = $2)
            """,
            QUEUE,
            tenant,
        )
    return Backlog(row["waiting"], row["delayed"], row["in_progress"], max(0.0, float(row["oldest"] or 0)))
