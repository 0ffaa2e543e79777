"""Keeps what is offered, whoever it belongs to, in one statement and one commit."""

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from opentelemetry import propagate
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from audit.changes import changed
from audit.event import Action, Actor
from services.orchestrator.engine import APPLICATION, QUEUE
from services.orchestrator.model import Accepted, EnhancementId, Offer
from services.orchestrator.store import AUDIT
from services.orchestrator.tickets import content_hash
from services.runtime.database import Connection, Database
from services.runtime.errors import TransactionAborted

# So that only a flood of several seconds counts, and a burst does not.
_REMEMBERED_SECONDS: Final = 3.0
_PRESSED_SHARE: Final = 0.7
_ATTEMPTS: Final = 3
Answer = TypeVar("Answer")


class Acceptance:
    def __init__(self, database: Database, *, settle_seconds: float) -> None:
        self._database = database
        self._settle_seconds = settle_seconds
        self._under_way = 0
        self._busy_share = 0.0
        self._looked = time.monotonic()

    async def accept(self, offers: Sequence[Offer]) -> list[Accepted]:
        """Durable when it returns. One answer an offer, in order; a known offer's is the work that exists."""
        return await self._patiently(lambda: self._accept(offers))

    async def accept_by_hand(self, offer: Offer, *, by: Actor) -> Accepted:
        """The same of what a person asks for, which leaves an audit event."""
        return await self._patiently(lambda: self._accept_by_hand(offer, by))

    async def _patiently(self, attempt_once: Callable[[], Awaitable[Answer]]) -> Answer:
        self._look()
        self._under_way += 1
        try:
            async for attempt in AsyncRetrying(
                # The engine moves rows of many runs at once, in an order of its own.
                retry=retry_if_exception_type(TransactionAborted),
                stop=stop_after_attempt(_ATTEMPTS),
                reraise=True,
            ):
                with attempt:
                    return await attempt_once()
            raise AssertionError("the last attempt answers or raises")
        finally:
            self._look()
            self._under_way -= 1

    async def _accept(self, offers: Sequence[Offer]) -> list[Accepted]:
        async with self._database.transaction() as connection:
            return await accept(connection, offers, settle_seconds=self._settle_seconds)

    async def _accept_by_hand(self, offer: Offer, by: Actor) -> Accepted:
        async with self._database.tenant(offer.run.tenant) as connection:
            (accepted,) = await accept(connection, [offer], settle_seconds=self._settle_seconds)
            if accepted.created:
                asked = {
                    "ticket": offer.ticket.id,
                    "tool": offer.ticket.tool,
                    "subject": offer.ticket.subject,
                    "deliver": offer.deliver,
                }
                action = Action("CreateEnhancement", f"enhancements/{accepted.id}", changed({}, asked))
                await AUDIT.add(connection, offer.run.tenant, by, action)
        return accepted

    @property
    def pressed(self) -> bool:
        """True while senders keep this process accepting nearly all the time. Any thread may ask."""
        return self._weighed(time.monotonic()) > _PRESSED_SHARE

    def _look(self) -> None:
        now = time.monotonic()
        self._busy_share, self._looked = self._weighed(now), now

    def _weighed(self, now: float) -> float:
        """The share with the time since the last look, busy or not, weighed in; what is long ago fades."""
        faded = math.exp(min(0.0, self._looked - now) / _REMEMBERED_SECONDS)
        return self._busy_share * faded + (1 - faded) * (self._under_way > 0)


async def accept(
    connection: Connection, offers: Sequence[Offer], *, settle_seconds: float = 0
) -> list[Accepted]:
    """Within the caller's transaction; changes of known tickets wait `settle_seconds` for further ones.

    Their runs go on in the trace of the call at hand.
    """
    trace: dict[str, str] = {}
    propagate.inject(trace)
    rows = await connection.fetch(
        """
        select * from orchestrator.accept(
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        """,
        QUEUE,
        APPLICATION,
        [offer.run.id for offer in offers],
        [offer.run.tenant for offer in offers],
        [offer.purpose.value for offer in offers],
        [_text(offer.ticket.tool) for offer in offers],
        [_text(offer.ticket.id) for offer in offers],
        [_text(offer.revision) for offer in offers],
        [_text(offer.delivery_id) for offer in offers],
        [_text(offer.request_id) for offer in offers],
        [offer.is_hint for offer in offers],
        [offer.is_update for offer in offers],
        [offer.deliver for offer in offers],
        [offer.priority for offer in offers],
        [None if offer.is_hint else content_hash(offer.ticket) for offer in offers],
        [offer.ticket.SerializeToString() for offer in offers],
        round(settle_seconds * 1000),
        trace.get("traceparent", ""),
    )
    return [Accepted(EnhancementId(row["enhancement_id"]), row["created"]) for row in rows]


def _text(value: str | None) -> str | None:
    """PostgreSQL's text has no NUL; one in one tenant's key must not refuse the whole batch."""
    return None if value is None else value.replace("\x00", "")
