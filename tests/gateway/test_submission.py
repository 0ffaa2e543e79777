"""What any adapter's event becomes, whatever its tool sent."""

from datetime import UTC, datetime

import pytest

from gateway.errors import FieldInvalid
from gateway.submission import submission_of
from ticketing.model import EventKind, Ticket, WebhookEvent


def event(ticket: Ticket, *, kind: EventKind = "ticket_created", revision: str = "r1") -> WebhookEvent:
    return WebhookEvent(kind=kind, ticket=ticket, delivery_id=None, revision=revision, is_hint=True)


def test_a_ticket_keeps_all_it_says() -> None:
    ticket = Ticket(
        id="12",
        display_id="REQ-12",
        subject="Mail",
        tags=("a", "b"),
        created=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
    )
    submission = submission_of(event(ticket), tenant="acme", tool="desk")
    assert (submission.tenant_id, submission.revision, submission.is_hint) == ("acme", "r1", True)
    assert (submission.ticket.tool, submission.ticket.display_id) == ("desk", "REQ-12")
    assert list(submission.ticket.tags) == ["a", "b"]
    assert submission.ticket.create_time.ToJsonString() == "2026-11-23T09:30:00Z"
    assert not submission.ticket.HasField("update_time")


@pytest.mark.parametrize(
    ("kind", "is_update", "resolved"),
    [("ticket_created", False, False), ("ticket_updated", True, False), ("ticket_resolved", False, True)],
)
def test_a_change_is_told_from_a_new_ticket_and_from_a_resolved_one(
    kind: EventKind, is_update: bool, resolved: bool
) -> None:
    submission = submission_of(event(Ticket(id="1", display_id="1"), kind=kind), tenant="acme", tool="desk")
    assert (submission.is_update, submission.resolved) == (is_update, resolved)


def test_half_characters_and_nul_do_not_cost_the_ticket() -> None:
    ticket = Ticket(id="1", display_id="1", subject="jam\ud83d\x00med", description="\ud83d\ude00")
    kept = submission_of(event(ticket), tenant="acme", tool="desk").ticket
    assert kept.subject == "jam\ufffdmed"
    assert kept.description == "\U0001f600"
    assert kept.display_id == ""


@pytest.mark.parametrize(
    ("ticket", "revision", "field"),
    [
        (Ticket(id="", display_id=""), "r", "ticket.id"),
        (Ticket(id="1", display_id="1", url="x" * 2049), "r", "ticket.url"),
        (Ticket(id="1", display_id="1"), "", "revision"),
    ],
)
def test_what_breaks_the_contract_is_named(ticket: Ticket, revision: str, field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        submission_of(event(ticket, revision=revision), tenant="acme", tool="desk")
    assert refused.value.violations[0].field == field
