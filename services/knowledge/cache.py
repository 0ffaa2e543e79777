"""Answers of knowledge bases, kept in Redis for a while: whoever asks the same meanwhile does not wait.

For `fresh_seconds` an answer is as good as new. After that it is still given, for `kept_seconds` in all,
while somebody asks anew in the background. Of those who ask at once, in all replicas, one asks the knowledge
base. That it is in trouble is kept for seconds, where nothing better is: the others would find it out one
after the other. Without Redis nothing is kept, and of those in one replica still only one asks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast
from uuid import uuid4

from services.knowledge import telemetry
from services.runtime.redis import OptionalRedis, RedisAway

_FRESH_SECONDS: Final = 300.0
_KEPT_SECONDS: Final = 3600.0
_BRIEFLY_SECONDS: Final = 3.0
_MOST_CHARACTERS: Final = 262_144
_MOST_REFRESHING: Final = 16
# Somewhat longer than the longest search: the lock of a replica that died goes by itself.
_LOCK_MS: Final = 12_000
_LOOK_SECONDS: Final = 0.1

# What is left of its time, text, and whether somebody asked a moment ago; nothing where there is none. The
# clock is Redis's: those of the replicas differ.
_GET: Final = """
local kept, brief = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not kept and not brief then return false end
return {redis.call('PTTL', KEYS[1]), kept or brief, brief and 1 or 0}
"""
_PUT: Final = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])"
_FORGET: Final = "redis.call('DEL', KEYS[1], KEYS[2])"
_LOCK: Final = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0"
_UNLOCK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
_LOCKED: Final = "return redis.call('EXISTS', KEYS[1])"


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Made:
    text: str
    lasting: bool
    """Whether it is kept as answers are, or for a few seconds, and in no answer's place."""


class Cache:
    def __init__(
        self,
        redis: OptionalRedis | None,
        *,
        fresh_seconds: float = _FRESH_SECONDS,
        kept_seconds: float = _KEPT_SECONDS,
        briefly_seconds: float = _BRIEFLY_SECONDS,
    ) -> None:
        self._redis = redis
        self._fresh_ms = round(fresh_seconds * 1000)
        self._kept_ms = round(kept_seconds * 1000)
        self._briefly_ms = round(briefly_seconds * 1000)
        self._making: dict[str, asyncio.Task[str]] = {}
        if redis is not None:
            self._get, self._put = redis.script(_GET), redis.script(_PUT)
            self._lock, self._unlock = redis.script(_LOCK), redis.script(_UNLOCK)
            self._locked, self._forget = redis.script(_LOCKED), redis.script(_FORGET)

    async def close(self) -> None:
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        if self._redis is not None:
            await self._redis.close()

    async def text(self, tenant: str, key: str, make: Callable[[], Awaitable[Made]]) -> str:
        """Give what is kept, or what `make` makes, whose errors reach all who wait for it.

        `make` goes on when its caller has stopped waiting: it bounds its own time.
        """
        key = _place(tenant, key)
        kept, without = None, "miss"
        try:
            kept = await self._read(key)
        except RedisAway:
            without = "away"
        if kept is None:
            telemetry.count_cache("joined" if key in self._making else without)
            return await asyncio.shield(self._begin(key, make))
        telemetry.count_cache("hit" if kept.fresh else "stale")
        if not kept.fresh and len(self._making) < _MOST_REFRESHING:
            self._begin(key, make)
        return kept.text

    async def forget(self, tenant: str, key: str) -> None:
        """What is kept there is of no use."""
        if self._redis is not None:
            where = _place(tenant, key)
            with suppress(RedisAway):
                await self._redis.ask(lambda: self._forget(keys=[where, _brief(where)]))

    def _begin(self, key: str, make: Callable[[], Awaitable[Made]]) -> asyncio.Task[str]:
        """The task that is at it; only one is."""
        known = self._making.get(key)
        if known is not None:
            return known
        task = asyncio.create_task(self._made(key, make))
        self._making[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[str]) -> None:
        self._making.pop(key, None)
        if not task.cancelled():
            # Nobody may be waiting for it any more.
            task.exception()

    async def _made(self, key: str, make: Callable[[], Awaitable[Made]]) -> str:
        token = str(uuid4())
        try:
            while not await self._take_lock(key, token):
                kept = await self._until_unlocked(key)
                if kept is not None and kept.fresh:
                    return kept.text
        except RedisAway:
            return (await make()).text
        try:
            made = await make()
            if len(made.text) <= _MOST_CHARACTERS:
                with suppress(RedisAway):
                    await self._write(key, made)
            return made.text
        finally:
            with suppress(RedisAway):
                await self._release(key, token)

    async def _until_unlocked(self, key: str) -> _Kept | None:
        """Wait for another replica, which is asking."""
        until = time.monotonic() + _LOCK_MS / 1000
        while time.monotonic() < until:
            await asyncio.sleep(_LOOK_SECONDS)
            if not await self._is_locked(key):
                break
        return await self._read(key)

    async def _read(self, key: str) -> _Kept | None:
        if self._redis is None:
            raise RedisAway
        found = await self._redis.ask(lambda: self._get(keys=[key, _brief(key)]))
        if not found:
            return None
        left, text, just_asked = cast("tuple[int, str, int]", found)
        return _Kept(text, fresh=bool(just_asked) or self._kept_ms - left <= self._fresh_ms)

    async def _write(self, key: str, made: Made) -> None:
        if self._redis is not None:
            where, ms = (key, self._kept_ms) if made.lasting else (_brief(key), self._briefly_ms)
            await self._redis.ask(lambda: self._put(keys=[where], args=[made.text, ms]))

    async def _take_lock(self, key: str, token: str) -> bool:
        if self._redis is None:
            raise RedisAway
        return bool(await self._redis.ask(lambda: self._lock(keys=[f"{key}:lock"], args=[token, _LOCK_MS])))

    async def _is_locked(self, key: str) -> bool:
        if self._redis is None:
            raise RedisAway
        return bool(await self._redis.ask(lambda: self._locked(keys=[f"{key}:lock"])))

    async def _release(self, key: str, token: str) -> None:
        if self._redis is not None:
            await self._redis.ask(lambda: self._unlock(keys=[f"{key}:lock"], args=[token]))


def _place(tenant: str, key: str) -> str:
    return f"dossier:knowledge:{tenant}:base:{key}"


def _brief(key: str) -> str:
    return f"{key}:brief"
