"""What Redis holds of a client: every key of which it is the third part, `dossier:{service}:{tenant}:…`."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.runtime.errors import DependencyUnavailable
from tenantdata.rows import Erased

_AT_A_TIME: Final = 500
_SECONDS: Final = 5.0


class RedisKeys:
    name: Final = "redis"

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, decode_responses=True, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        )

    async def close(self) -> None:
        await self._redis.aclose()

    async def count(self, tenant: str) -> Mapping[str, int]:
        """By the service whose keys they are."""
        counts: dict[str, int] = {}
        try:
            async for key in self._keys(tenant):
                service = key.split(":")[1]
                counts[service] = counts.get(service, 0) + 1
        except RedisError as error:
            raise DependencyUnavailable(self.name) from error
        return counts

    async def erase(self, tenant: str) -> Erased:
        removed: dict[str, int] = {}
        try:
            async for key in self._keys(tenant):
                if await self._redis.unlink(key):
                    service = key.split(":")[1]
                    removed[service] = removed.get(service, 0) + 1
        except RedisError as error:
            raise DependencyUnavailable(self.name) from error
        return Erased(removed, await self.count(tenant))

    async def _keys(self, tenant: str) -> AsyncIterator[str]:
        async for key in self._redis.scan_iter(match=f"dossier:*:{tenant}:*", count=_AT_A_TIME):
            # The pattern's stars match colons, too: another client's key may have the name further on.
            if key.split(":")[2] == tenant:
                yield key
