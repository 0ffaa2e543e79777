"""Work that is finished once begun, however many ask for it and whether or not they stay."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """One flight a key at a time: whoever asks meanwhile gets the same result."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, begin: Callable[[], Coroutine[None, None, T]]) -> T:
        """The result of the flight under way, or of a new one; cancelling the caller does not cancel it."""
        task = self._flying.get(key)
        if task is None:
            task = self._flying[key] = asyncio.create_task(begin())
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def land(self) -> None:
        """Wait for every flight under way."""
        await asyncio.gather(*self._flying.values(), return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._flying[key]
        if not task.cancelled():
            # Looked at, since a failure that nobody waits for any more is not an unhandled one.
            task.exception()
