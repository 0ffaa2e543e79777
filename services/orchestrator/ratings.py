"""Hands over what people think of past tickets and articles to the services that rank them.

At least once, in any order and by any replica: who is told knows each rating by its id and revision.
"""

import asyncio
import itertools
import time
from typing import Final, NamedTuple

import structlog

from dossier.history.v1.history_service_pb2 import RateTicketRequest
from dossier.knowledge.v1.knowledge_service_pb2 import RateArticleRequest
from services.orchestrator import telemetry
from services.orchestrator.model import DocumentKind
from services.orchestrator.peers import SUBJECT, PeerFailure, Peers
from services.orchestrator.store_ratings import Rating, Word, backlog, handed_over, waiting
from services.orchestrator.tickets import searchable
from services.runtime.caller import acting_for
from services.runtime.database import NOT_MIGRATED, Database
from services.runtime.errors import DependencyUnavailable, TransactionAborted

_AT_ONCE: Final = 100
_IDLE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 8.0
_FIRST_POSTPONED_SECONDS: Final = 1.0
_LONGEST_POSTPONED_SECONDS: Final = 600.0
# Those who rank weigh less of it.
_DESCRIPTION: Final = 4096
_TROUBLES: Final[tuple[type[Exception], ...]] = (
    DependencyUnavailable,
    TransactionAborted,
    TimeoutError,
    *NOT_MIGRATED,
)

_log = structlog.get_logger(__name__)


class _Pause(NamedTuple):
    until: float
    seconds: float


class Ratings:
    def __init__(self, database: Database, peers: Peers) -> None:
        self._database = database
        self._peers = peers
        self._failing = False
        self._postponed: dict[tuple[str, Word], _Pause] = {}
        """It is what fails, and not whoever is told."""

    async def follow(self) -> None:
        pause = _IDLE_SECONDS
        while True:
            try:
                trouble = await self._round()
            except _TROUBLES:
                # Readiness tells of a lost database; what waits there goes on to wait.
                trouble = None
            self._tell(trouble)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if trouble else _IDLE_SECONDS
            await asyncio.sleep(pause)

    async def _round(self) -> str | None:
        """One turn for each tenant; whoever is away is not asked again in it."""
        tenants = await backlog(self._database)
        telemetry.RATINGS_WAITING.set(sum(tenants.values()))
        away: dict[DocumentKind, str] = {}
        for tenant, kind in itertools.product(tenants, DocumentKind):
            with acting_for(tenant, subject=SUBJECT):
                await self._tenants_round(tenant, kind, away)
        self._forget()
        return next(iter(away.values()), None)

    async def _tenants_round(self, tenant: str, kind: DocumentKind, away: dict[DocumentKind, str]) -> None:
        if kind in away:
            return
        now = time.monotonic()
        postponed = [
            word for (whose, word), pause in self._postponed.items() if whose == tenant and pause.until > now
        ]
        for rating in await waiting(self._database, tenant, kind, besides=postponed, most=_AT_ONCE):
            if kind in away:
                return
            await self._hand_over(tenant, rating, away)

    def _forget(self) -> None:
        """Of those whose pause ended long ago nobody waits any more: their tenant was deleted, say."""
        now = time.monotonic()
        self._postponed = {
            key: pause
            for key, pause in self._postponed.items()
            if pause.until + _LONGEST_POSTPONED_SECONDS > now
        }

    async def _hand_over(self, tenant: str, rating: Rating, away: dict[DocumentKind, str]) -> None:
        try:
            result = "applied" if await self._rate(rating) else "unchanged"
        except PeerFailure as failure:
            if not failure.final:
                # What fails or takes too long may be this one, whoever is told being well.
                if failure.kind != "unavailable":
                    self._postpone(tenant, rating, str(failure))
                if failure.kind != "failed":
                    away[rating.document.kind] = str(failure)
                return
            _log.error("rating_refused", rating_id=rating.word.id, cause=str(failure))
            result = "refused"
        await handed_over(self._database, tenant, rating)
        self._postponed.pop((tenant, rating.word), None)
        telemetry.RATINGS.labels(result=result).inc()

    def _postpone(self, tenant: str, rating: Rating, cause: str) -> None:
        before = self._postponed.get((tenant, rating.word))
        pause = min(2 * before.seconds, _LONGEST_POSTPONED_SECONDS) if before else _FIRST_POSTPONED_SECONDS
        self._postponed[tenant, rating.word] = _Pause(time.monotonic() + pause, pause)
        if before is None:
            _log.warning("rating_postponed", rating_id=rating.word.id, cause=cause)

    async def _rate(self, rating: Rating) -> bool:
        subject, description = searchable(rating.ticket)
        document = rating.document
        match document.kind:
            case DocumentKind.TICKET:
                return await self._peers.rate_ticket(
                    RateTicketRequest(
                        rating_id=rating.word.id,
                        revision=rating.word.revision,
                        ticket_id=document.id,
                        source=document.source,
                        helpful=rating.helpful,
                        subject=subject,
                        description=description[:_DESCRIPTION],
                    )
                )
            case DocumentKind.ARTICLE:
                return await self._peers.rate_article(
                    RateArticleRequest(
                        rating_id=rating.word.id,
                        revision=rating.word.revision,
                        article_id=document.id,
                        source=document.source,
                        helpful=rating.helpful,
                        subject=subject,
                        description=description[:_DESCRIPTION],
                    )
                )

    def _tell(self, trouble: str | None) -> None:
        """One line when ratings begin to wait, one when they do no more."""
        if trouble is not None and not self._failing:
            _log.warning("ratings_wait", cause=trouble)
        if trouble is None and self._failing:
            _log.info("ratings_handed_over_again")
        self._failing = trouble is not None
