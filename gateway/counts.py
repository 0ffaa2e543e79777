"""What all gateways count together in Redis, and what becomes of it while Redis is away."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Self, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_AGAIN_SECONDS: Final = 1.0
_CONNECTIONS: Final = 8

# A window begins with the first that is handed out in it, and ends by Redis's clock. Who needs more than is
# left gets nothing, and leaves it to those who need less.
_HAND_OUT: Final = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local need, want = tonumber(ARGV[3]), tonumber(ARGV[4])
local left = math.max(0, limit - tonumber(redis.call('GET', KEYS[1]) or 0))
local granted = 0
if left >= need then
  granted = math.min(left, want)
  redis.call('INCRBY', KEYS[1], granted)
end
local ends = redis.call('PTTL', KEYS[1])
if ends < 0 then
  redis.call('PEXPIRE', KEYS[1], window)
  ends = window
end
return {granted, left - granted, ends}
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Handed:
    granted: int
    left: int
    seconds: float
    """Until the window ends."""


class SharedCounts:
    """Nothing connects before the first question, and nobody waits for Redis longer than `seconds`."""

    def __init__(self, redis: Redis, *, seconds: float) -> None:
        self._redis = redis
        self._seconds = seconds
        self._hand_out = redis.register_script(_HAND_OUT)
        self._away = False
        self._ask_again = 0.0

    @classmethod
    def at(cls, redis_url: str, *, seconds: float) -> Self:
        pool = BlockingConnectionPool.from_url(
            redis_url,
            max_connections=_CONNECTIONS,
            # Nothing is waited for longer than `hand_out` does.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            # A connection that a restart of Redis cut is opened again, once.
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )
        return cls(Redis.from_pool(pool), seconds=seconds)

    async def close(self) -> None:
        await self._redis.aclose()

    async def hand_out(
        self, key: str, *, limit: int, window_seconds: float, need: int, want: int
    ) -> Handed | None:
        """Take `need` at least and `want` at most of what is left in the window; None while Redis is away."""
        now = time.monotonic()
        if self._away and now < self._ask_again:
            return None
        # Of those who come while it is away, one at a time tries.
        self._ask_again = now + _AGAIN_SECONDS
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._hand_out(
                    keys=[key], args=[limit, round(window_seconds * 1000), need, want]
                )
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                _log.warning("limits_unavailable", error=type(error).__name__)
            self._away = True
            return None
        if self._away:
            _log.info("limits_available")
        self._away = False
        granted, left, milliseconds = cast("tuple[int, int, int]", answer)
        return Handed(granted, left, milliseconds / 1000)
