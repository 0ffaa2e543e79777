"""So much at once in all, of which no client has more than its share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Shares:
    def __init__(self, *, in_all: int, of_one: int) -> None:
        self._all = asyncio.Semaphore(in_all)
        self._of_one = of_one
        # A client's is there while somebody holds or awaits it.
        self._own = WeakValueDictionary[str, asyncio.Semaphore]()

    @asynccontextmanager
    async def one(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a share, and hold it.

        For those of all, a client stands in line no more often than it has shares: the others are served
        between its own.
        """
        own = self._own.setdefault(tenant, asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield
