"""Takes tickets in: one that was resolved, or an import of many."""

import asyncio
from collections.abc import Sequence

from retrieval.documents import weigh
from services.history import telemetry
from services.history.model import Ticket, TicketKey
from services.history.store import IndexedTicket, TenantTickets
from services.runtime.importing import ImportReport


async def record(tickets: TenantTickets, ticket: Ticket) -> bool:
    """Keep one ticket; True when it was not known before."""
    kept = await keep(tickets, [ticket])
    telemetry.count_rows(kept)
    return kept.created == 1


async def keep(tickets: TenantTickets, rows: Sequence[Ticket]) -> ImportReport:
    """Keep rows in one transaction. Of those with one key the last holds; the others count as before it."""
    latest: dict[TicketKey, Ticket] = {}
    superseded = repeated = 0
    for row in rows:
        before = latest.get(row.key)
        repeated += before == row
        superseded += before is not None and before != row
        latest[row.key] = row
    if not latest:
        return ImportReport()
    # Beside the event loop: a message full of long tickets takes seconds to weigh.
    written = await tickets.write(await asyncio.to_thread(_indexed, tuple(latest.values())))
    created, updated = len(written.created), len(written.updated)
    return ImportReport(created, updated + superseded, len(latest) - created - updated + repeated)


def _indexed(rows: Sequence[Ticket]) -> list[IndexedTicket]:
    return [IndexedTicket(row, weigh(row.fields) if row.is_evidence else {}) for row in rows]
