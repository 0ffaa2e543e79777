"""So much at once of each client, and in all where that is bounded too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from weakref import WeakValueDictionary


class Shares:
    def __init__(self, *, of_one: int, in_all: int | None = None) -> None:
        self._all = nullcontext() if in_all is None else asyncio.Semaphore(in_all)
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
