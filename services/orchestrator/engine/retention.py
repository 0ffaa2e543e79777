"""Removes the engine's rows of what ended some time ago, so that nothing grows with what is done."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.orchestrator.engine.workflow import QUEUE
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable

_EVERY_SECONDS: Final = 60.0
# Between two bites of much: what is accepted and made meanwhile goes first.
_SOON_SECONDS: Final = 0.5
_AT_A_TIME: Final = 500
# Of an ended workflow the engine is asked nothing more; an hour is for people who look.
_ENGINE_ROWS: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


async def keep_small(database: Database) -> None:
    """Sweep now and then, for ever; replicas do not stand in each other's way."""
    while True:
        more = False
        try:
            more = await sweep(database, engine_rows=_ENGINE_ROWS)
        except (DependencyUnavailable, TimeoutError) as error:
            _log.info("not_swept", reason=str(error) or "PostgreSQL is slow")
        await asyncio.sleep(_SOON_SECONDS if more else _EVERY_SECONDS)


async def sweep(database: Database, *, engine_rows: timedelta) -> bool:
    """Remove some; True when there may be more."""
    async with database.transaction() as connection:
        removed: int = await connection.fetchval(
            "select orchestrator.sweep($1, $2, $3)", QUEUE, engine_rows.total_seconds(), _AT_A_TIME
        )
    return removed == _AT_A_TIME
