"""Between the contract's messages about audit logs and the model."""

from datetime import UTC
from typing import TypedDict

from audit.changes import FieldChange
from audit.event import Action, Actor
from dossier.tenants.v1 import audit_pb2
from services.tenants.audit import AuditEvent, Origin, ReportedEvent, Verdict
from services.tenants.wire import without_nul, write_timestamp


def write_change(change: FieldChange) -> audit_pb2.FieldChange:
    return audit_pb2.FieldChange(field=change.field, before=change.before, after=change.after)


def write_event(event: AuditEvent) -> audit_pb2.AuditEvent:
    return audit_pb2.AuditEvent(
        sequence=event.sequence,
        create_time=write_timestamp(event.origin.time),
        principal=event.actor.principal,
        subject=event.actor.subject,
        role=event.actor.role,
        action=event.action.name,
        resource=event.action.resource,
        changes=map(write_change, event.action.changes),
        request_id=event.actor.request_id,
        hash=event.hash.hex(),
        service=event.origin.service,
        event_id=event.origin.event_id,
    )


class VerdictFields(TypedDict):
    events: int
    head_hash: str
    broken_at: int | None
    known_hash_found: bool | None
    removed_events: int


def verdict_fields(verdict: Verdict, *, asked: bool) -> VerdictFields:
    """What is told of any log; `asked` whether a hash was given to look for."""
    return {
        "events": verdict.events,
        "head_hash": verdict.head.hex() if verdict.head else "",
        "broken_at": verdict.broken_at,
        "known_hash_found": verdict.known_found if asked else None,
        "removed_events": verdict.removed,
    }


def read_reported(event: audit_pb2.ReportedEvent, *, service: str) -> ReportedEvent:
    return ReportedEvent(
        Origin(service, event.event_id.lower(), event.create_time.ToDatetime(UTC)),
        Actor(*map(without_nul, (event.principal, event.subject, event.role, event.request_id))),
        Action(
            without_nul(event.action),
            without_nul(event.resource),
            [FieldChange(*map(without_nul, (each.field, each.before, each.after))) for each in event.changes],
        ),
    )
