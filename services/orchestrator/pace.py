"""A rate limiter for ticketing tools, whose permits all replicas share in Redis.

A sliding window log: the times of the last permits are kept, so that no minute has more of them than the
limit, wherever it begins. (A token bucket of the same rate lets twice as many through after a quiet minute,
and the tool answers the second half with 429.) Whoever is refused is told a time of their own, spaced as the
limit allows, so that those who wait come back one by one. Nobody waits here, since a worker would wait along.

A tool that said 429 is left alone by everybody until the time it gave.
"""

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Self, cast

from services.orchestrator import telemetry
from services.runtime.redis import OptionalRedis, RedisAway
from ticketing.errors import ToolRateLimited

_WINDOW_MS: Final = 60_000
_LONGEST_WAIT_MS: Final = 300_000
# How long a tool without a limit of its own is believed to be free: so much later than the one that was told
# another replica learns of a 429.
_FREE_SECONDS: Final = 0.5

# One round trip decides. The clock is Redis's: those of the replicas differ.
_TAKE: Final = """
local blocked, permits, told = KEYS[1], KEYS[2], KEYS[3]
local limit, window, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = redis.call('PTTL', blocked)
if left > 0 then return {'blocked', left} end
if limit == 0 then return {'granted', 0} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local oldest = redis.call('LINDEX', permits, limit - 1)
if not oldest or oldest + window <= now then
  redis.call('LPUSH', permits, now)
  redis.call('LTRIM', permits, 0, limit - 1)
  redis.call('PEXPIRE', permits, window)
  return {'granted', 0}
end
local after_others = (redis.call('GET', told) or 0) + math.ceil(window / limit)
local at = math.min(math.max(oldest + window, after_others), now + longest)
redis.call('SET', told, at, 'PX', at - now)
return {'full', at - now}
"""
_BLOCK: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
"""


class OutOfPermits(ToolRateLimited):
    """The tool was not asked, so that its limit is kept."""


@dataclass(frozen=True, slots=True)
class PacedTool:
    """One tenant's ticketing tool."""

    tenant: str
    tool: str
    requests_per_minute: int | None = None
    """None: only the tool itself says when it is too much."""

    def key(self, what: str) -> str:
        return f"dossier:orchestrator:{self.tenant}:pace:{self.tool}:{what}"


class Pace:
    """Gives permits. Without Redis there are no shared limits, and a 429 is known to this replica only."""

    def __init__(self, redis: OptionalRedis | None) -> None:
        self._redis = redis
        if redis is not None:
            self._take = redis.script(_TAKE)
            self._block = redis.script(_BLOCK)
        self._blocked: dict[tuple[str, str], float] = {}
        self._free: dict[tuple[str, str], float] = {}

    @classmethod
    def at(cls, redis_url: str | None, *, redis_seconds: float) -> Self:
        if redis_url is None:
            return cls(None)
        return cls(OptionalRedis.at(redis_url, use="pace", seconds=redis_seconds))

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.close()

    async def take(self, this: PacedTool) -> None:
        """Take the permit for one request, or raise `OutOfPermits` with the time to come back."""
        now, known = time.monotonic(), (this.tenant, this.tool)
        blocked_seconds = self._blocked.get(known, 0.0) - now
        if blocked_seconds > 0:
            _refuse(this, "blocked", blocked_seconds)
        unlimited = this.requests_per_minute is None
        if self._redis is None or (unlimited and self._free.get(known, 0.0) > now):
            return
        keys = [this.key("blocked"), this.key("permits"), this.key("told")]
        args = [this.requests_per_minute or 0, _WINDOW_MS, _LONGEST_WAIT_MS]
        try:
            answer = await self._redis.ask(lambda: self._take(keys=keys, args=args))
        except RedisAway:
            # A tool asked too often says so, and a stopped run helps nobody.
            telemetry.PACE_UNAVAILABLE.inc()
            return
        verdict, milliseconds = cast("tuple[str, int]", answer)
        if verdict == "blocked":
            self._remember(this, milliseconds / 1000)
        if verdict != "granted":
            _refuse(this, verdict, milliseconds / 1000)
        if unlimited:
            self._free = {key: until for key, until in self._free.items() if until > now}
            self._free[known] = now + _FREE_SECONDS

    async def block(self, this: PacedTool, seconds: float) -> None:
        """The tool said 429: nobody asks it until then. A block is never made shorter."""
        self._remember(this, seconds)
        if self._redis is not None:
            keys, args = [this.key("blocked")], [max(1, round(seconds * 1000))]
            with suppress(RedisAway):
                await self._redis.ask(lambda: self._block(keys=keys, args=args))

    def _remember(self, this: PacedTool, seconds: float) -> None:
        now = time.monotonic()
        self._blocked = {key: until for key, until in self._blocked.items() if until > now}
        key = (this.tenant, this.tool)
        self._blocked[key] = max(now + seconds, self._blocked.get(key, 0.0))


def _refuse(this: PacedTool, verdict: str, seconds: float) -> NoReturn:
    telemetry.PACE_REFUSED.labels(why=verdict).inc()
    why = (
        "it asked to be left alone"
        if verdict == "blocked"
        else f"{this.requests_per_minute} requests per minute are used up"
    )
    # Those whom one block held up do not all come at once.
    jitter = random.uniform(0, max(0.2, seconds / 10))  # noqa: S311 - not a secret
    raise OutOfPermits(why, seconds + jitter)
