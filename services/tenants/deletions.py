"""The records of deletions, which outlive the clients that they are of."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import orjson
from pydantic import TypeAdapter

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.runtime.database import Connection, Database, Row
from services.tenants.errors import TenantChanged, TenantNotFound
from services.tenants.model import (
    BriefSettings,
    Limits,
    NewTenant,
    Retention,
    TenantId,
    TenantState,
    Ticketing,
)
from services.tenants.rows import tenant_of
from services.tenants.store_change import Change, add_tenant
from tenantdata.rows import TenantRows


@dataclass(frozen=True, slots=True)
class Store:
    """A place where something of a client is kept: by table, what was removed and what is left."""

    removed: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    awaited: str = ""
    """Why it is waited for."""

    @property
    def is_clean(self) -> bool:
        return not self.awaited and not any(self.left.values())


@dataclass(frozen=True, slots=True)
class Deletion:
    id: str
    tenant: TenantId
    actor: Actor
    request_time: datetime | None
    audit_events: int
    audit_head: bytes
    stores: Mapping[str, Store]
    verify_time: datetime | None = None
    """When nothing was found for the first time."""
    end_time: datetime | None = None


CLIENT: Final = ("tenants",)
"""The table of the client itself, which holds the id until the end."""
_STORES: Final = TypeAdapter(dict[str, Store])


class Deletions:
    def __init__(self, database: Database, own: TenantRows) -> None:
        self._database = database
        self._own = own

    async def begin(self, tenant: TenantId, actor: Actor, *, remnants: bool = False) -> Deletion:
        """Serve the client no more from this commit on; the deletion that is under way where there is one.

        Of a client that is gone, what remains is deleted the same way, as that of one without settings; one
        that was made meanwhile under its id is not meant: `TenantChanged`.
        """
        async with self._database.tenant(tenant) as connection:
            added = (
                await add_tenant(connection, _nobody(tenant), request_id=actor.request_id)
                if remnants
                else None
            )
            row = added or await connection.fetchrow(
                "select * from tenants.tenants where tenant_id = $1 for no key update", tenant
            )
            if row is None:
                raise TenantNotFound(tenant)
            before = tenant_of(row)
            if before.state is not TenantState.DELETING:
                if remnants and added is None:
                    raise TenantChanged(before.etag)
                was, becomes = (f'"{state.value}"' for state in (before.state, TenantState.DELETING))
                action = Action("DeleteTenant", "tenant", (FieldChange("state", was, becomes),))
                change = Change(connection, before, actor)
                await change.save(replace(before, state=TenantState.DELETING), action)
                await _record(connection, tenant, actor)
            kept = await connection.fetchrow(
                "select * from tenants.deletions where client = $1 and end_time is null", tenant
            )
        if kept is None:
            raise LookupError("a client that is being deleted has a deletion")
        return _deletion_of(kept)

    async def find(self, deletion_id: str) -> Deletion | None:
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "select * from tenants.deletions where deletion_id = $1", UUID(deletion_id)
            )
        return _deletion_of(row) if row is not None else None

    async def under_way(self) -> Sequence[Deletion]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                "select * from tenants.deletions where end_time is null order by request_time"
            )
        return [_deletion_of(row) for row in rows]

    async def page(
        self, *, of: str | None, before: tuple[datetime, str] | None, count: int
    ) -> Sequence[Deletion]:
        """The newest first, of one client or of all; `before` is the last one's time and id."""
        time, deletion_id = before or (None, None)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                """
                select * from tenants.deletions
                where ($1::text is null or client = $1)
                    and ($2::timestamptz is null or (request_time, deletion_id) < ($2, $3::uuid))
                order by request_time desc, deletion_id desc limit $4
                """,
                of,
                time,
                deletion_id,
                count,
            )
        return [_deletion_of(row) for row in rows]

    @asynccontextmanager
    async def round_of(self, deletion: Deletion) -> AsyncIterator["Round | None"]:
        """One transaction in which no other replica works at the deletion; None when one does, or it is over.

        Who came late, with a deletion that is over, would erase what a new client of that id has.
        """
        async with self._database.tenant(deletion.tenant) as connection:
            row = await connection.fetchrow(
                """
                select * from tenants.deletions
                where deletion_id = $1 and end_time is null for update skip locked
                """,
                UUID(deletion.id),
            )
            yield Round(connection, _deletion_of(row), self._own) if row is not None else None


class Round:
    def __init__(self, connection: Connection, deletion: Deletion, own: TenantRows) -> None:
        self.deletion = deletion
        self._connection = connection
        self._own = own

    async def record(self, found: Mapping[str, Store], *, clean: bool) -> None:
        """Add what was removed. `clean` says that nothing was found, which a later round may confirm."""
        known = self.deletion.stores
        stores = {name: _sum(known.get(name, Store()), found[name]) for name in found}
        await self._connection.execute(
            """
            update tenants.deletions
            set stores = $2, verify_time = case when $3 then coalesce(verify_time, clock_timestamp()) end
            where deletion_id = $1
            """,
            UUID(self.deletion.id),
            orjson.dumps({name: asdict(store) for name, store in stores.items()}).decode(),
            clean,
        )

    async def end(self) -> bool:
        """Remove the client itself and end the deletion, unless the directory holds more of it after all."""
        left = await self._own.count_in(self._connection, self.deletion.tenant, without=CLIENT)
        if any(left.values()):
            return False
        await self._connection.execute(
            "delete from tenants.tenants where tenant_id = $1 and state = 'deleting'", self.deletion.tenant
        )
        await self._connection.execute(
            "update tenants.deletions set end_time = clock_timestamp() where deletion_id = $1",
            UUID(self.deletion.id),
        )
        return True


def _nobody(tenant: TenantId) -> NewTenant:
    return NewTenant(tenant, "", Ticketing(""), BriefSettings(), (), Retention(), Limits())


async def _record(connection: Connection, tenant: TenantId, actor: Actor) -> None:
    await connection.execute(
        """
        insert into tenants.deletions
            (deletion_id, client, principal, subject, request_id, audit_events, audit_head)
        select $1, $2, $3, $4, $5, count(*), (array_agg(hash order by sequence desc))[1]
        from tenants.audit_events where tenant_id = $2
        """,
        *(uuid4(), tenant, actor.principal, actor.subject, actor.request_id),
    )


def _sum(known: Store, found: Store) -> Store:
    """What was removed adds up; of a store that is away the last that is known of it stays."""
    names = sorted({*known.removed, *found.removed})
    removed = {name: known.removed.get(name, 0) + found.removed.get(name, 0) for name in names}
    return Store(removed, found.left or known.left, found.awaited)


def _deletion_of(row: Row) -> Deletion:
    return Deletion(
        id=str(row["deletion_id"]),
        tenant=TenantId(row["client"]),
        # Only operators may.
        actor=Actor(row["principal"], row["subject"], "operator", row["request_id"]),
        request_time=row["request_time"],
        audit_events=row["audit_events"],
        audit_head=row["audit_head"],
        stores=_STORES.validate_json(row["stores"]),
        verify_time=row["verify_time"],
        end_time=row["end_time"],
    )
