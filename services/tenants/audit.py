"""What was changed of a client and by whom, as a chain: each event's hash covers the one before it.

The service's role can append and no more. Who owns the database could change an event, or take one out: then
the hashes behind it do not fit any more. Who goes on to compute them anew, or cuts the newest off, is found
out by a hash that was noted elsewhere.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

import orjson
from uuid_utils import uuid7

from audit.event import Action, Actor
from services.tenants.model import TenantId

FIRST: Final = b"\0" * 32
"""Stands for the hash before the first event."""
FIRST_FORM: Final = 1
"""Of what is hashed: without the service and the event's own id."""
FORM: Final = 2
SERVICE: Final = "tenants"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when an event was made, and the id by which it is known there; empty in the first form."""

    service: str
    event_id: str
    time: datetime

    @classmethod
    def here(cls) -> Self:
        return cls(SERVICE, str(uuid7()), datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """One that has no place in a log yet."""

    origin: Origin
    actor: Actor
    action: Action


@dataclass(frozen=True, slots=True)
class AuditEvent:
    tenant: TenantId
    sequence: int
    form: int
    origin: Origin
    actor: Actor
    action: Action
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest of the events that the retention has removed: what is left of the chain hangs on it."""

    sequence: int
    hash: bytes


NOTHING_REMOVED: Final = Anchor(0, FIRST)


@dataclass(frozen=True, slots=True)
class Verdict:
    events: int
    head: bytes | None
    """The newest event's hash; None where there are no events."""
    broken_at: int | None
    """The first sequence that is missing, changed or out of place."""
    known_found: bool
    removed: int
    """By the retention; they are not among the events."""


def following(before: AuditEvent | None, tenant: TenantId, reported: ReportedEvent) -> AuditEvent:
    """Append to the chain."""
    sequence, previous = (before.sequence + 1, before.hash) if before is not None else (1, FIRST)
    origin, actor, action = reported.origin, reported.actor, reported.action
    return _sealed(AuditEvent(tenant, sequence, FORM, origin, actor, action, hash=b""), previous)


async def verified(
    events: AsyncIterator[AuditEvent | None], *, known: bytes | None, anchor: Anchor = NOTHING_REMOVED
) -> Verdict:
    """Read a whole log, the oldest first; a known hash counts only as far as the chain holds."""
    count, previous, broken_at = 0, anchor.hash, None
    known_found = bool(anchor.sequence) and anchor.hash == known
    async for event in events:
        count += 1
        if broken_at is not None:
            continue
        if event is None or event.sequence != anchor.sequence + count or event != _sealed(event, previous):
            broken_at = anchor.sequence + count
            continue
        previous = event.hash
        known_found = known_found or event.hash == known
    if anchor.sequence and not count:
        # The retention leaves the newest: there was one.
        broken_at = anchor.sequence + 1
    head = previous if count and broken_at is None else None
    return Verdict(count, head, broken_at, known_found, anchor.sequence)


def _sealed(event: AuditEvent, previous: bytes) -> AuditEvent:
    origin, actor, action = event.origin, event.actor, event.action
    own = (event.form, origin.service, origin.event_id)
    said = [
        # The first form begins with a text, so that none of the forms can be taken for another.
        *(own if own != (FIRST_FORM, "", "") else ()),
        *(event.tenant, event.sequence, origin.time.astimezone(UTC).isoformat(timespec="microseconds")),
        *(actor.principal, actor.subject, actor.role, actor.request_id),
        *(action.name, action.resource),
        [[change.field, change.before, change.after] for change in action.changes],
        previous.hex(),
    ]
    return replace(event, hash=hashlib.sha256(orjson.dumps(said)).digest())
