"""A verified webhook as the orchestrator takes it."""

from datetime import datetime
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.orchestrator_service_pb2 import Submission
from gateway.errors import FieldInvalid
from services.runtime.rules import violations_of
from ticketing import model

_UTF16: Final = "utf-16"


def submission_of(event: model.WebhookEvent, *, tenant: str, tool: str) -> Submission:
    """Convert, and check against the contract: one bad item would have its whole batch refused."""
    submission = Submission(
        tenant_id=tenant,
        delivery_id=_clean(event.delivery_id or ""),
        revision=_clean(event.revision),
        ticket=_ticket(event.ticket, tool=tool),
        is_hint=event.is_hint,
        resolved=event.kind == "ticket_resolved",
        is_update=event.kind == "ticket_updated",
    )
    for violation in violations_of(submission):
        raise FieldInvalid(violation.field or "ticket", violation.description)
    return submission


def _ticket(ticket: model.Ticket, *, tool: str) -> Ticket:
    message = Ticket(
        id=_clean(ticket.id),
        display_id="" if ticket.display_id == ticket.id else _clean(ticket.display_id),
        tool=tool,
        url=_clean(ticket.url),
        subject=_clean(ticket.subject),
        description=_clean(ticket.description),
        requester=_clean(ticket.requester),
        requester_email=_clean(ticket.requester_email),
        priority=_clean(ticket.priority),
        category=_clean(ticket.category),
        site=_clean(ticket.site),
        status=_clean(ticket.status),
        resolved=ticket.resolved,
        resolution=_clean(ticket.resolution or ""),
        tags=[_clean(tag) for tag in ticket.tags],
        organisation=_clean(ticket.organisation),
    )
    _set_time(message, "create_time", ticket.created)
    _set_time(message, "update_time", ticket.updated)
    return message


def _set_time(message: Message, name: str, moment: datetime | None) -> None:
    if moment is not None:
        timestamp: Timestamp = getattr(message, name)
        timestamp.FromDatetime(moment)


def _clean(text: str) -> str:
    r"""Make it storable: JSON may spell half a character (`"\ud83d"`), and PostgreSQL takes no NUL."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(_UTF16, "surrogatepass").decode(_UTF16, "replace")
    return text
