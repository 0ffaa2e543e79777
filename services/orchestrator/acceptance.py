"""Keeps what is offered, whoever it belongs to, in one statement and one commit."""

from collections.abc import Sequence

from services.orchestrator.engine import QUEUE
from services.orchestrator.model import Accepted, EnhancementId, Offer
from services.runtime.database import Database


class Acceptance:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def accept(self, offers: Sequence[Offer], *, trace_context: str) -> list[Accepted]:
        """Durable when it returns. One answer an offer, in order; a known offer's is the work that exists."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                "select * from orchestrator.accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                QUEUE,
                [offer.run.id for offer in offers],
                [offer.run.tenant for offer in offers],
                [offer.purpose.value for offer in offers],
                [_text(offer.ticket.tool) for offer in offers],
                [_text(offer.ticket.id) for offer in offers],
                [_text(offer.revision) for offer in offers],
                [_text(offer.delivery_id) for offer in offers],
                [_text(offer.request_id) for offer in offers],
                [offer.is_hint for offer in offers],
                [offer.deliver for offer in offers],
                [offer.ticket.SerializeToString() for offer in offers],
                trace_context,
            )
        return [Accepted(EnhancementId(row["enhancement_id"]), row["created"]) for row in rows]


def _text(value: str | None) -> str | None:
    """PostgreSQL's text has no NUL; one in one tenant's key must not refuse the whole batch."""
    return None if value is None else value.replace("\x00", "")
