"""Keeps what is offered, whoever it belongs to, in one statement and one commit."""

from collections.abc import Sequence

from services.orchestrator.engine import APPLICATION, QUEUE
from services.orchestrator.model import Accepted, EnhancementId, Offer
from services.orchestrator.tickets import content_hash
from services.runtime.database import Connection, Database


class Acceptance:
    def __init__(self, database: Database, *, settle_seconds: float) -> None:
        self._database = database
        self._settle_seconds = settle_seconds

    async def accept(self, offers: Sequence[Offer], *, trace_context: str) -> list[Accepted]:
        """Durable when it returns. One answer an offer, in order; a known offer's is the work that exists."""
        async with self._database.transaction() as connection:
            return await accept(
                connection, offers, trace_context=trace_context, settle_seconds=self._settle_seconds
            )


async def accept(
    connection: Connection, offers: Sequence[Offer], *, trace_context: str, settle_seconds: float = 0
) -> list[Accepted]:
    """Within the caller's transaction; changes of known tickets wait `settle_seconds` for further ones."""
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
        trace_context,
    )
    return [Accepted(EnhancementId(row["enhancement_id"]), row["created"]) for row in rows]


def _text(value: str | None) -> str | None:
    """PostgreSQL's text has no NUL; one in one tenant's key must not refuse the whole batch."""
    return None if value is None else value.replace("\x00", "")
