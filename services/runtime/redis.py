"""Redis, which may be away: then whoever asks is told so at once, and goes on without it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Final, Self, TypeVar

import structlog
from prometheus_client import Gauge
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

_CONNECTIONS: Final = 8
_AGAIN_SECONDS: Final = 1.0
_TURNS: Final = 10
_FAILURES: Final = (RedisError, OSError, TimeoutError)

_AWAY: Final = Gauge("dossier_redis_away", "1 while Redis does not answer, by what it is used for.", ["use"])

_log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


class RedisAway(Exception):
    """It did not answer in time, or not a moment ago."""


class OptionalRedis:
    """Nothing connects before the first question, and nobody waits longer than `seconds`.

    `use` names in logs and metrics what goes without while Redis is away.
    """

    def __init__(self, client: Client, *, use: str, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._presence = _Presence(use)
        self._ask_again = 0.0

    @classmethod
    def at(cls, url: str, *, use: str, seconds: float) -> Self:
        return cls(_client(url, connections=_CONNECTIONS), use=use, seconds=seconds)

    async def close(self) -> None:
        await self._client.aclose()

    def script(self, text: str) -> AsyncScript:
        """What `ask` may run, by its keys and arguments."""
        return self._client.register_script(text)

    async def publish(self, channel: str, message: str) -> None:
        """Raises `RedisAway`."""
        await self.ask(lambda: self._client.publish(channel, message))

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Raises `RedisAway`."""
        now = time.monotonic()
        if self._presence.away and now < self._ask_again:
            raise RedisAway
        # Of those who come while it is away, one at a time tries.
        self._ask_again = now + _AGAIN_SECONDS
        try:
            answer = await _within(self._seconds, _running(question))
        except _FAILURES as error:
            self._presence.lost(error)
            raise RedisAway from error
        self._presence.found()
        return answer


class Subscription:
    """Hears what is published on one channel, and connects again by itself."""

    def __init__(self, url: str, channel: str, *, use: str, seconds: float) -> None:
        self._client = _client(url, connections=1)
        self._channel = channel
        self._seconds = seconds
        self._presence = _Presence(use)

    async def listen(self, *, heard: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Until cancelled. `connected` is told at each beginning: what was said before it is unknown."""
        try:
            while True:
                pubsub = self._client.pubsub()
                try:
                    await self._follow(pubsub, heard, connected)
                except _FAILURES as error:
                    self._presence.lost(error)
                finally:
                    with suppress(*_FAILURES):
                        await pubsub.aclose()  # type: ignore[no-untyped-call]
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await self._client.aclose()

    async def _follow(
        self, pubsub: PubSub, heard: Callable[[str], None], connected: Callable[[], None]
    ) -> None:
        await _within(self._seconds, _running(lambda: pubsub.subscribe(self._channel)))
        quiet = False
        while True:
            message = await pubsub.get_message(timeout=_AGAIN_SECONDS)
            match message:
                case None if quiet:
                    # A connection that is cut without a word would be listened to for ever.
                    raise TimeoutError
                case None:
                    await _within(self._seconds, _running(pubsub.ping))
                case {"type": "subscribe"}:
                    self._presence.found()
                    connected()
                case {"type": "message", "data": str(said)}:
                    heard(said)
                case _:
                    pass
            quiet = message is None


async def _within(seconds: float, call: Coroutine[object, object, Answer]) -> Answer:
    """Wait for so long, in turns: that this process is busy for a while says nothing about Redis."""
    task = asyncio.create_task(call)
    try:
        for _ in range(_TURNS):
            done, _ = await asyncio.wait({task}, timeout=seconds / _TURNS)
            if done:
                return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class _Presence:
    """Says once that it went, and once that it is back."""

    def __init__(self, use: str) -> None:
        self._use = use
        self._gauge = _AWAY.labels(use)
        self.away = False

    def lost(self, error: Exception) -> None:
        if not self.away:
            _log.warning(f"{self._use}_unavailable", error=type(error).__name__)
            self._gauge.set(1)
        self.away = True

    def found(self) -> None:
        if self.away:
            _log.info(f"{self._use}_available")
            self._gauge.set(0)
        self.away = False


async def _running(question: Callable[[], Awaitable[Answer]]) -> Answer:
    return await question()


def _client(url: str, *, connections: int) -> Client:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        # Nothing is waited for longer than the caller does.
        timeout=None,
        socket_timeout=None,
        socket_connect_timeout=None,
        # A connection that a restart of Redis cut is opened again, once.
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )
    return Client.from_pool(pool)
