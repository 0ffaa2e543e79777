"""Gives tickets their vectors, in the background and again when the model changes."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from typing import Final

import structlog

from embedding.contract import Embedder, EmbedderUnavailable
from services.history import telemetry
from services.history.vectors import Vectors, Waiting
from services.runtime.errors import DependencyUnavailable

_AT_A_TIME: Final = 16
_LEASE: Final = timedelta(seconds=60)
_IDLE_SECONDS: Final = 0.5
_AWAY_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 15.0
_LOOKED_AT: Final = 5_000

_log = structlog.get_logger(__name__)


def text_of(title: str, description: str) -> str:
    """What is embedded of a ticket, and of a question: what its reporter says, and not what solved it."""
    return f"{title}\n{description}"


async def embed_tickets(vectors: Vectors, embedder: Embedder) -> None:
    """Work the backlog off, for ever; replicas share it."""
    away = False
    while True:
        try:
            more = await embed_some(vectors, embedder)
        except (EmbedderUnavailable, DependencyUnavailable, TimeoutError) as error:
            if not away:
                _log.warning("not_embedded", reason=str(error) or "PostgreSQL is slow")
            away, more = True, False
            await asyncio.sleep(_AWAY_SECONDS)
            continue
        if away:
            _log.info("embedding_again")
        away = False
        if not more:
            await asyncio.sleep(_IDLE_SECONDS)


async def embed_some(vectors: Vectors, embedder: Embedder) -> bool:
    """Embed what was added last; True when there may be more."""
    taken = await vectors.take(_AT_A_TIME, lease=_LEASE)
    of_tenants: defaultdict[str, list[Waiting]] = defaultdict(list)
    for each in taken:
        of_tenants[each.tenant].append(each)
    for tenant, some in of_tenants.items():
        texts = await vectors.texts(tenant, [each.key for each in some])
        wanted = [each for each in some if each.key in texts]
        found = await embedder.embed([text_of(*texts[each.key]) for each in wanted]) if wanted else []
        gone = [(each, None) for each in some if each.key not in texts]
        await vectors.keep(tenant, [*zip(wanted, found, strict=True), *gone], model=embedder.model)
        telemetry.EMBEDDED.inc(len(found))
    return len(taken) == _AT_A_TIME


async def queue_unembedded(vectors: Vectors, embedder: Embedder) -> None:
    """Once a start, put into the backlog what has no vector of this model."""
    after: tuple[str, str, str] | None = ("", "", "")
    while after is not None:
        try:
            after = await vectors.queue_unembedded(embedder.model, after, _LOOKED_AT)
        except (DependencyUnavailable, TimeoutError):
            await asyncio.sleep(_AWAY_SECONDS)
        await asyncio.sleep(0)


async def watch_backlog(vectors: Vectors) -> None:
    """Tell the metrics how far behind embedding is."""
    while True:
        try:
            state = await vectors.backlog()
        except (DependencyUnavailable, TimeoutError):
            pass
        else:
            telemetry.BACKLOG.set(state.waiting)
            telemetry.BACKLOG_AGE.set(state.oldest_seconds)
        await asyncio.sleep(_LOOK_SECONDS)
