"""Work that is finished once begun, however many ask for it and whether or not they stay."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """One flight a key at a time: whoever asks meanwhile gets the same result."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, key: Hashable, begin: Callable[[], Awaitable[T]]) -> T:
        """The result of the flight under way, or of a new one; cancelling the caller does not cancel it."""
        task = self._flying.get(key)
        if task is None:
            task = asyncio.ensure_future(begin())
            self._flying[key] = task
            task.add_done_callback(lambda _: self._flying.pop(key, None))
            # A failure that nobody waits for any more is not an unhandled one.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def land(self) -> None:
        """Wait for every flight under way."""
        await asyncio.gather(*self._flying.values(), return_exceptions=True)
