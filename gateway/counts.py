"""What all gateways count together in Redis, and what becomes of it while Redis is away."""

from dataclasses import dataclass
from typing import Final, Self, cast

from services.runtime.redis import OptionalRedis, RedisAway

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


@dataclass(frozen=True, slots=True)
class Handed:
    granted: int
    left: int
    seconds: float
    """Until the window ends."""


class SharedCounts:
    def __init__(self, redis: OptionalRedis) -> None:
        self._redis = redis
        self._hand_out = redis.script(_HAND_OUT)

    @classmethod
    def at(cls, redis_url: str, *, seconds: float) -> Self:
        return cls(OptionalRedis.at(redis_url, use="limits", seconds=seconds))

    async def close(self) -> None:
        await self._redis.close()

    async def hand_out(
        self, key: str, *, limit: int, window_seconds: float, need: int, want: int
    ) -> Handed | None:
        """Take `need` at least and `want` at most of what is left in the window; None while Redis is away."""
        args = [limit, round(window_seconds * 1000), need, want]
        try:
            answer = await self._redis.ask(lambda: self._hand_out(keys=[key], args=args))
        except RedisAway:
            return None
        granted, left, milliseconds = cast("tuple[int, int, int]", answer)
        return Handed(granted, left, milliseconds / 1000)
