"""The end of a log, in a transaction that has locked whose it is: of two at once, one would be refused."""

from collections.abc import Sequence

import orjson

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.runtime.database import Connection
from services.tenants.audit import SERVICE, Origin, ReportedEvent, following
from services.tenants.differences import differences
from services.tenants.model import NewTenant, TenantId
from services.tenants.rows import event_of


async def append(
    connection: Connection, tenant: TenantId, actor: Actor, action: Action, *, settings: NewTenant | None
) -> None:
    """One event of this service's own; `settings` are the client's before it, None where it had none."""
    await append_all(connection, tenant, [ReportedEvent(Origin.here(), actor, action)], settings=settings)


async def append_all(
    connection: Connection, tenant: TenantId, reported: Sequence[ReportedEvent], *, settings: NewTenant | None
) -> int:
    """Append those that are not there yet; how many those are.

    The log of a client that is older than it begins with the client's settings.
    """
    rows = await connection.fetch(
        "select event_id from tenants.audit_events where tenant_id = $1 and event_id = any($2::uuid[])",
        tenant,
        [each.origin.event_id for each in reported],
    )
    known = {str(row["event_id"]) for row in rows}
    new = {each.origin.event_id: each for each in reported if each.origin.event_id not in known}
    row = await connection.fetchrow(
        "select * from tenants.audit_events where tenant_id = $1 order by sequence desc limit 1", tenant
    )
    last = event_of(row) if row is not None else None
    begun = [_begun(settings)] if new and last is None and settings is not None else []
    events = [last := following(last, tenant, each) for each in (*begun, *new.values())]
    await connection.executemany(
        """
        insert into tenants.audit_events
            (tenant_id, sequence, form, service, event_id, create_time, principal, subject, role, request_id,
             action, resource, changes, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        [
            (
                *(tenant, event.sequence, event.form),
                *(event.origin.service, event.origin.event_id, event.origin.time),
                *(event.actor.principal, event.actor.subject, event.actor.role, event.actor.request_id),
                *(event.action.name, event.action.resource),
                _written(event.action.changes),
                event.hash,
            )
            for event in events
        ],
    )
    return len(new)


def _written(changes: Sequence[FieldChange]) -> str:
    return orjson.dumps([[each.field, each.before, each.after] for each in changes]).decode()


def _begun(settings: NewTenant) -> ReportedEvent:
    actor = Actor(principal=SERVICE, subject=SERVICE, role="service", request_id="")
    return ReportedEvent(Origin.here(), actor, Action("LogBegun", "tenant", differences(None, settings)))
