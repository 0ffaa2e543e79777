"""Takes tickets in: one that was resolved, or an import of many."""

import asyncio
from collections.abc import Sequence

from audit.event import Actor
from audit.imports import ImportEvent
from retrieval.documents import weigh
from services.history import telemetry
from services.history.model import Ticket, TicketKey
from services.history.store import IndexedTicket, TenantTickets
from services.runtime.importing import ImportReport


async def record(tickets: TenantTickets, ticket: Ticket, *, by: Actor) -> bool:
    """Keep one ticket; True when it was not known before."""
    (indexed,) = await asyncio.to_thread(_indexed, (ticket,))
    written = await tickets.record(indexed, by=by)
    created, updated = len(written.created), len(written.updated)
    telemetry.count_rows(ImportReport(created, updated, 1 - created - updated))
    return bool(created)


async def keep(tickets: TenantTickets, event: ImportEvent, rows: Sequence[Ticket]) -> ImportReport:
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
    written = await tickets.write(await asyncio.to_thread(_indexed, tuple(latest.values())), event)
    created, updated = len(written.created), len(written.updated)
    return ImportReport(created, updated + superseded, len(latest) - created - updated + repeated)


def _indexed(rows: Sequence[Ticket]) -> list[IndexedTicket]:
    return [IndexedTicket(row, weigh(row.fields) if row.is_evidence else {}) for row in rows]
