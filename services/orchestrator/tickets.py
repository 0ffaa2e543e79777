"""A ticket in the adapters' terms, in the contract's."""

import re
from datetime import datetime
from hashlib import sha256
from typing import Final

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.history.v1.past_ticket_pb2 import PastTicket
from services.orchestrator.organisation import organisation_of
from ticketing import model as ticketing

_MOST_TAGS: Final = 64
_TEXT: Final = 1_048_576
_NORMAL: Final = 3
# By level: the words of the tools that we know, and the numbers that go with a "P" or a "Priority".
_PRIORITIES: Final = (
    frozenset({"urgent", "critical", "emergency", "blocker", "highest", "p1", "1"}),
    frozenset({"high", "important", "major", "p2", "2"}),
    frozenset({"medium", "normal", "moderate", "standard", "p3", "3"}),
    frozenset({"low", "minor", "p4", "4"}),
    frozenset({"lowest", "trivial", "planning", "p5", "5"}),
)


def from_tool(ticket: ticketing.Ticket, *, tool: str) -> Ticket:
    """Cut to the contract's lengths: what a tool holds may be longer than anybody reads."""
    message = Ticket(
        id=ticket.id,
        display_id=ticket.display_id[:128],
        tool=tool,
        url=ticket.url[:2048],
        subject=ticket.subject[:4096],
        description=ticket.description[:_TEXT],
        requester=ticket.requester[:512],
        requester_email=ticket.requester_email[:512],
        priority=ticket.priority[:128],
        category=ticket.category[:256],
        site=ticket.site[:256],
        status=ticket.status[:128],
        resolved=ticket.resolved,
        resolution=(ticket.resolution or "")[:_TEXT],
        tags=[tag[:128] for tag in ticket.tags[:_MOST_TAGS]],
        organisation=ticket.organisation[:256],
    )
    _set(message, "create_time", ticket.created)
    _set(message, "update_time", ticket.updated)
    return message


def as_past_ticket(ticket: Ticket) -> PastTicket:
    past = PastTicket(
        id=ticket.id,
        source=ticket.tool,
        title=ticket.subject or f"Ticket {ticket.display_id or ticket.id}",
        description=ticket.description,
        resolution=ticket.resolution,
        status=ticket.status,
        category=ticket.category,
        tags=ticket.tags,
        url=ticket.url,
        site=ticket.site,
        organisation=organisation_of(ticket),
    )
    if ticket.HasField("create_time"):
        past.create_time.CopyFrom(ticket.create_time)
    if ticket.HasField("update_time"):
        # The contract's ticket does not say when it was resolved; this webhook came when it was.
        past.resolve_time.CopyFrom(ticket.update_time)
    return past


def searchable(ticket: Ticket) -> tuple[str, str]:
    """Subject and description; never both empty."""
    return ticket.subject or ticket.display_id or ticket.id, ticket.description


def content_hash(ticket: Ticket) -> bytes:
    """Of what a brief is about. A note, an assignment or another status leaves it as it is."""
    words = f"{ticket.subject}\n{ticket.description}".casefold().split()
    return sha256(" ".join(words).encode()).digest()


def priority_of(ticket: Ticket) -> int:
    """1 (urgent) to 5 (low), from the tool's word for it: a name, a number of its own, or both."""
    words = re.findall(r"[a-z]+|\d+", ticket.priority.casefold())
    for word in words:
        for level, names in enumerate(_PRIORITIES, start=1):
            if word in names:
                return level
    return _NORMAL


def _set(message: Ticket, field: str, moment: datetime | None) -> None:
    if moment is not None:
        getattr(message, field).FromDatetime(moment)
