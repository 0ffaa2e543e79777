"""Events that wait in a service's own database until they are in the log.

They are written in the transaction of the change that they tell of: there is none without the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from uuid_utils import uuid7

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.runtime.database import Connection, Database

_MOST_NAME: Final = 256
_MOST_RESOURCE: Final = 512


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many events of one log wait, and since when the oldest."""

    tenant: str
    events: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    create_time: datetime
    actor: Actor
    action: Action


class Outbox:
    """The table `audit_outbox` of one schema. All but `backlog` works in transactions of one tenant."""

    def __init__(self, schema: str) -> None:
        self._table = f"{schema}.audit_outbox"
        self._backlog = f"{schema}.audit_backlog()"

    async def add(
        self,
        connection: Connection,
        tenant: str,
        by: Actor,
        action: Action,
        *,
        open_for: timedelta | None = None,
    ) -> str:
        """Returns the event's id. One that is open waits so long for further changes."""
        event_id = str(uuid7())
        await connection.execute(
            f"""
            insert into {self._table}
                (event_id, tenant_id, principal, subject, role, request_id, action, resource, changes,
                 open_until)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::interval)
            """,  # noqa: S608 - the schema is ours
            *(event_id, tenant),
            *(_name(by.principal), _name(by.subject), by.role, by.request_id),
            *(action.name, _cut(action.resource, _MOST_RESOURCE), _written(action.changes), open_for),
        )
        return event_id

    async def renew(
        self,
        connection: Connection,
        event_id: str,
        changes: Sequence[FieldChange],
        *,
        open_for: timedelta | None,
    ) -> bool:
        """Replace what an open event tells; False where it is open no more. None closes it."""
        status = await connection.execute(
            f"""
            update {self._table} set changes = $2, open_until = now() + $3::interval
            where event_id = $1 and open_until is not null
            """,  # noqa: S608
            event_id,
            _written(changes),
            open_for,
        )
        return status == "UPDATE 1"

    async def backlog(self, database: Database) -> Sequence[Waiting]:
        """Of every log, the one that has waited longest first."""
        async with database.transaction() as connection:
            rows = await connection.fetch(f"select * from {self._backlog}")  # noqa: S608
        return [Waiting(row["tenant_id"], row["events"], row["oldest"]) for row in rows]

    async def claim(self, database: Database, tenant: str, *, most: int, lease: timedelta) -> Sequence[Event]:
        """Take some that nobody else is handing over, the oldest first."""
        async with database.tenant(tenant) as connection:
            rows = await connection.fetch(
                f"""
                update {self._table} set lease_end = now() + $3::interval, open_until = null
                where event_id = any(array(
                    select event_id from {self._table}
                    where tenant_id = $1 and (open_until is null or open_until < now())
                        and (lease_end is null or lease_end < now())
                    order by position limit $2 for update skip locked
                ))
                returning *
                """,  # noqa: S608
                tenant,
                most,
                lease,
            )
        return [
            Event(
                str(row["event_id"]),
                row["create_time"],
                Actor(row["principal"], row["subject"], row["role"], row["request_id"]),
                Action(
                    row["action"],
                    row["resource"],
                    [FieldChange(*change) for change in orjson.loads(row["changes"])],
                ),
            )
            for row in sorted(rows, key=lambda row: row["position"])
        ]

    async def remove(self, database: Database, tenant: str, events: Sequence[Event]) -> None:
        async with database.tenant(tenant) as connection:
            await connection.execute(
                f"delete from {self._table} where tenant_id = $1 and event_id = any($2::uuid[])",  # noqa: S608
                tenant,
                [event.id for event in events],
            )

    async def give_back(self, database: Database, tenant: str, events: Sequence[Event]) -> None:
        async with database.tenant(tenant) as connection:
            await connection.execute(
                f"""
                update {self._table} set lease_end = null where tenant_id = $1 and event_id = any($2::uuid[])
                """,  # noqa: S608
                tenant,
                [event.id for event in events],
            )


def _written(changes: Sequence[FieldChange]) -> str:
    return orjson.dumps([[each.field, each.before, each.after] for each in changes]).decode()


def _name(text: str) -> str:
    return _cut(text, _MOST_NAME)


def _cut(text: str, most: int) -> str:
    return text.replace("\0", "\ufffd")[:most]
