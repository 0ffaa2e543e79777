"""Gives texts their vectors, in the background and again when the model changes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter, Gauge

from embedding.contract import Embedder, EmbedderUnavailable, TextsRefused, Vector

Key = TypeVar("Key")
"""What a service calls a text by, within a tenant."""

_AT_A_TIME: Final = 16
_LEASE: Final = timedelta(seconds=60)
_IDLE_SECONDS: Final = 0.5
_AWAY_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 15.0
_LOOKED_AT: Final = 5_000
_HARMLESS: Final = "ticket"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Key]):
    """A text that waits for its vector; `added` tells whether it has changed since it was taken."""

    tenant: str
    key: Key
    added: datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """How many texts wait in all replicas, and for how long the one that was added first."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Meters:
    embedded: Counter
    waiting: Gauge
    oldest_seconds: Gauge


class Backlog(Protocol[Key]):
    """What a service keeps of what waits, and the vectors that it gets."""

    @property
    def troubles(self) -> tuple[type[Exception], ...]:
        """What methods raise that may succeed a while later."""

    async def take(self, count: int, *, lease: timedelta) -> Sequence[Waiting[Key]]:
        """Take what was added last, of whichever tenants; nobody else gets it before the lease ends."""

    async def texts(self, tenant: str, keys: Sequence[Key]) -> Mapping[Key, str]:
        """What is embedded of those that are still to be found."""

    async def keep(
        self, tenant: str, done: Sequence[tuple[Waiting[Key], Vector | None]], *, model: str
    ) -> None:
        """Keep vectors, and take their texts from what waits; without one, there was nothing to embed."""

    async def queue_unembedded(
        self, model: str, after: tuple[str, Key] | None, count: int
    ) -> tuple[str, Key] | None:
        """Look at some texts behind a tenant's; queue those without a vector of the model.

        Gives the last one that was looked at, None when there was none.
        """

    async def lag(self) -> Lag: ...


class Backfill(Generic[Key]):
    """Replicas share the work."""

    def __init__(self, backlog: Backlog[Key], embedder: Embedder, meters: Meters) -> None:
        self._backlog = backlog
        self._embedder = embedder
        self._meters = meters
        self._troubles: tuple[type[Exception], ...] = (EmbedderUnavailable, *backlog.troubles)

    @property
    def jobs(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What runs beside a service; nothing without an embedder."""
        return (self._queue_unembedded, self._embed, self._watch) if self._embedder.model else ()

    async def _embed(self) -> None:
        away = False
        while True:
            try:
                more = await self._embed_some()
            except self._troubles as error:
                if not away:
                    _log.warning("not_embedded", reason=str(error) or type(error).__name__)
                away = True
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            if away:
                _log.info("embedding_again")
            away = False
            if not more:
                await asyncio.sleep(_IDLE_SECONDS)

    async def _embed_some(self) -> bool:
        """Embed what was added last; True when there may be more."""
        taken = await self._backlog.take(_AT_A_TIME, lease=_LEASE)
        of_tenants: defaultdict[str, list[Waiting[Key]]] = defaultdict(list)
        for each in taken:
            of_tenants[each.tenant].append(each)
        for tenant, some in of_tenants.items():
            texts = await self._backlog.texts(tenant, [each.key for each in some])
            wanted = [each for each in some if each.key in texts]
            vectors = await self._vectors([texts[each.key] for each in wanted]) if wanted else []
            gone = [(each, None) for each in some if each.key not in texts]
            done = [*zip(wanted, vectors, strict=True), *gone]
            await self._backlog.keep(tenant, done, model=self._embedder.model)
            self._meters.embedded.inc(sum(vector is not None for vector in vectors))
        return len(taken) == _AT_A_TIME

    async def _vectors(self, texts: Sequence[str]) -> Sequence[Vector | None]:
        """None for a text that is refused: it must not hold up those of other tenants that came with it."""
        try:
            return await self._embedder.embed(texts)
        except TextsRefused as refused:
            if len(texts) > 1:
                return [vector for text in texts for vector in await self._vectors([text])]
            # Whether it is the text, and not what every text is asked for with.
            await self._embedder.embed([_HARMLESS])
            _log.warning("text_not_embedded", reason=str(refused))
            return [None]

    async def _queue_unembedded(self) -> None:
        """Once a start."""
        last: tuple[str, Key] | None = None
        while True:
            try:
                last = await self._backlog.queue_unembedded(self._embedder.model, last, _LOOKED_AT)
            except self._troubles:
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            if last is None:
                return
            await asyncio.sleep(0)

    async def _watch(self) -> None:
        while True:
            try:
                lag = await self._backlog.lag()
            except self._troubles:
                pass
            else:
                self._meters.waiting.set(lag.waiting)
                self._meters.oldest_seconds.set(lag.oldest_seconds)
            await asyncio.sleep(_LOOK_SECONDS)
