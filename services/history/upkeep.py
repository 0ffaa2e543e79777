"""Gives a tenant that has become large an index of its own over its vectors, and takes it away again."""

import asyncio
from typing import Final

import structlog

from services.history.store import FEW_VECTORS, tend_vector_indexes
from services.runtime.database import NOT_MIGRATED, Database
from services.runtime.errors import DependencyUnavailable

_EVERY_SECONDS: Final = 20.0
_TROUBLES: Final[tuple[type[Exception], ...]] = (DependencyUnavailable, TimeoutError, *NOT_MIGRATED)

_log = structlog.get_logger(__name__)


async def tend_indexes(database: Database) -> None:
    """Until cancelled; of several replicas, one at a time does it."""
    while True:
        try:
            tended = await tend_vector_indexes(database, few=FEW_VECTORS)
        except _TROUBLES as error:
            _log.warning("vector_indexes_not_tended", reason=str(error) or type(error).__name__)
            tended = None
        if tended is None:
            await asyncio.sleep(_EVERY_SECONDS)
        else:
            _log.info("vector_index_tended", index=tended)
