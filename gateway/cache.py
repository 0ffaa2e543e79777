"""Answers believed for a moment: in memory, bounded, each asked for once at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BriefCache(Generic[Key, Value]):
    """Keeps what `load` answered for a few seconds, what is unknown as well as what is known.

    The two are kept apart, so that a flood of unknown keys cannot push the known ones out. A load that
    fails is not kept.
    """

    def __init__(
        self,
        load: Callable[[Key], Awaitable[Value]],
        *,
        known: Callable[[Value], bool],
        seconds: float,
        most: int = 4096,
    ) -> None:
        self._load = load
        self._known = known
        self._seconds = seconds
        self._most = most
        self._kept: tuple[dict[Key, tuple[float, Value]], ...] = ({}, {})
        self._loading: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key) -> Value:
        now = time.monotonic()
        for kept in self._kept:
            entry = kept.get(key)
            if entry is not None and now < entry[0]:
                return entry[1]
        # A caller that goes away must not take the answer from the others.
        return await asyncio.shield(self.renew(key))

    def renew(self, key: Key) -> "asyncio.Task[Value]":
        """Ask in the background, where nobody is asking; a failure changes nothing of what is kept."""
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(_look_at)
        return task

    def last(self, key: Key) -> Value | None:
        """Give what was known last, however long ago, without asking."""
        entry = self._kept[0].get(key)
        return None if entry is None else entry[1]

    def is_overdue(self, key: Key, *, seconds: float) -> bool:
        """Whether what is known was to be forgotten since, or that many seconds ago."""
        entry = self._kept[0].get(key)
        return entry is not None and time.monotonic() > entry[0] + seconds

    def put(self, key: Key, value: Value) -> None:
        """Keep what was learned another way, as if it had been loaded."""
        for kept in self._kept:
            kept.pop(key, None)
        kept = self._kept[0 if self._known(value) else 1]
        if len(kept) >= self._most:
            # The oldest: dictionaries remember the order.
            del kept[next(iter(kept))]
        kept[key] = (time.monotonic() + self._seconds, value)

    def forget(self, concerned: Callable[[Key, Value], bool]) -> None:
        """Believe no longer what is concerned, nor what is being asked for: the answer may be the old one."""
        for kept in self._kept:
            for key, (_, value) in kept.items():
                if concerned(key, value):
                    kept[key] = (0.0, value)
        self._loading.clear()

    async def _fetch(self, key: Key) -> Value:
        this = asyncio.current_task()
        try:
            value = await self._load(key)
        finally:
            believed = self._loading.get(key) is this
            if believed:
                del self._loading[key]
        if believed:
            self.put(key, value)
        return value


def _look_at(task: "asyncio.Task[Value]") -> None:
    """Asyncio complains about errors that nobody looked at, also when everybody has gone."""
    if not task.cancelled():
        task.exception()
