"""Follows one enhancement to its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from services.orchestrator.model import Enhancement
from services.orchestrator.store import TenantEnhancements

_POLL_SECONDS: Final = 0.15


async def changes(enhancements: TenantEnhancements, enhancement_id: str) -> AsyncIterator[Enhancement]:
    """Yield it as it is, then at every change that is noticed, and at last as it ended.

    Polled: a notification in PostgreSQL would cost the accepting transactions their common commit.
    """
    current = await enhancements.read(enhancement_id)
    yield current
    while not current.state.ended:
        await asyncio.sleep(_POLL_SECONDS)
        if await enhancements.version(enhancement_id) != current.version:
            current = await enhancements.read(enhancement_id)
            yield current
