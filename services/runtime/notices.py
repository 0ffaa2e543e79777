"""Notices that what a service keeps of a tenant has changed: the tenant's name, over Redis, and nothing else.

A notice may be lost, and nothing may rest on one: whoever believes something of a tenant asks again after a
moment in any case.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Final, Self

from services.runtime.redis import OptionalRedis, RedisAway, Subscription
from services.runtime.settings import RedisSettings

_USE: Final = "change_notices"


class Notices:
    """The service's own word. Without Redis nothing is said."""

    def __init__(self, redis: OptionalRedis | None, service: str) -> None:
        self._redis = redis
        self._channel = _channel(service)

    @classmethod
    def of(cls, service: str, settings: RedisSettings, closers: AsyncExitStack) -> Self:
        if settings.redis_url is None:
            return cls(None, service)
        redis = OptionalRedis.at(
            settings.redis_url.get_secret_value(), use=_USE, seconds=settings.redis_seconds
        )
        closers.push_async_callback(redis.close)
        return cls(redis, service)

    async def publish(self, tenant: str) -> None:
        if self._redis is not None:
            with suppress(RedisAway):
                await self._redis.publish(self._channel, tenant)


async def hear(service: str, settings: RedisSettings, *, forget: Callable[[str | None], None]) -> None:
    """Have forgotten, until cancelled, what is believed of each tenant that the service says has changed.

    None is all of them: what was said while nobody listened is unknown.
    """
    if settings.redis_url is None:
        return
    subscription = Subscription(
        settings.redis_url.get_secret_value(), _channel(service), use=_USE, seconds=settings.redis_seconds
    )
    await subscription.listen(heard=forget, connected=lambda: forget(None))


def _channel(service: str) -> str:
    return f"dossier:{service}:changes"
