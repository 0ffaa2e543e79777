"""How the syncs of clients' knowledge bases stand, in PostgreSQL: whose turn it is, and who is at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from audit.event import Action, Actor
from audit.outbox import Outbox
from services.knowledge.model import Source
from services.runtime.database import Connection, Database, Row

_CLAIM: Final = """
    update knowledge.base_syncs as mine
    set lease_id = $1, lease_end = now() + $2::interval, start_time = now(),
        created_count = 0, updated_count = 0, removed_count = 0, rejected_count = 0
    from (
        select name, due_time from knowledge.base_syncs
        where due_time <= now() and not exists (select from knowledge.base_syncs where lease_end > now())
        order by due_time, name limit 1
    ) as next
    where mine.name = next.name
    returning mine.name, mine.start_time, mine.whole_time, mine.changed_since, mine.whole_wanted,
              mine.settings, mine.settings is not distinct from mine.synced_settings as as_before,
              next.due_time
"""
# What was asked for meanwhile is still to be done.
_SUCCEED: Final = """
    update knowledge.base_syncs
    set lease_id = null, lease_end = null, success_time = now(), error = '', changed_since = start_time,
        whole_time = case when $3 then start_time else whole_time end,
        whole_wanted = whole_wanted and due_time <> $4, synced_settings = $6,
        due_time = case when due_time = $4 then now() + $5::interval else due_time end
    where name = $1 and lease_id = $2
"""
_FAIL: Final = """
    update knowledge.base_syncs
    set lease_id = null, lease_end = null, error = $3,
        due_time = case when due_time = $4 then now() + $5::interval else due_time end
    where name = $1 and lease_id = $2
"""
# Once a minute where it could not be ended, as that of a client who is suspended.
_END: Final = """
    update knowledge.base_syncs set due_time = now()
    where name <> all($1::text[]) and due_time > now()
        and (success_time >= start_time or start_time < now() - interval '1 minute')
"""
# Other settings may name other pages, or lead elsewhere under the same name.
_KNOW: Final = """
    insert into knowledge.base_syncs as known (name, settings)
    select * from unnest($1::text[], $2::text[])
    on conflict (tenant_id, name) do update
        set settings = excluded.settings, due_time = now(), whole_wanted = true
        where known.settings is distinct from excluded.settings
"""
_STANDINGS: Final = """
    select s.*, coalesce(s.lease_end > now(), false) as running,
           (select count(*) from knowledge.articles a where a.source = s.name) as articles
    from knowledge.base_syncs s
    where $1::text is null or s.name = $1
    order by s.name
"""


@dataclass(slots=True)
class Counts:
    created: int = 0
    updated: int = 0
    removed: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """A sync that is this replica's until the lease ends; `whole` where it was asked for."""

    name: Source
    lease_id: UUID
    start_time: datetime
    due_time: datetime
    whole: bool
    settings: str
    """Which they are."""
    as_before: bool
    """Whether they were so, too, when it was last synced."""
    whole_time: datetime | None
    changed_since: datetime | None


@dataclass(frozen=True, slots=True)
class SyncStanding:
    name: Source
    running: bool
    due_time: datetime
    start_time: datetime | None
    success_time: datetime | None
    error: str
    counts: Counts
    articles: int


class LeaseLost(Exception):
    """Another replica is at it, or there is nothing to sync any more."""


class Syncs:
    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def know(self, tenant: str, settings: Mapping[Source, str]) -> None:
        """By name, something that changes with the settings.

        New and changed ones are due at once, and so are those that are synced no more, of which what was kept
        is removed.
        """
        async with self._database.tenant(tenant) as connection:
            await connection.execute(_KNOW, list(settings), list(settings.values()))
            await connection.execute(_END, list(settings))

    async def known(self) -> Mapping[str, Mapping[Source, str]]:
        """Of all that are synced, or were, by client."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select * from knowledge.clients_with_syncs()")
        return {
            row["tenant_id"]: dict(zip(map(Source, row["names"]), row["settings"], strict=True))
            for row in rows
        }

    async def due(self, most: int) -> Sequence[str]:
        """Clients of whom one is due and none is under way, the one that has waited longest first."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select tenant_id from knowledge.due_syncs($1)", most)
        return [row["tenant_id"] for row in rows]

    async def claim(self, tenant: str, *, lease: timedelta) -> Claimed | None:
        """Take the client's next one, unless another replica is at one of the client's."""
        lease_id = uuid4()
        async with self._database.tenant(tenant) as connection:
            await self._take_turn(connection, tenant)
            row = await connection.fetchrow(_CLAIM, lease_id, lease)
        if row is None:
            return None
        return Claimed(
            name=Source(row["name"]),
            lease_id=lease_id,
            start_time=row["start_time"],
            due_time=row["due_time"],
            whole=row["whole_wanted"],
            settings=row["settings"],
            as_before=row["as_before"],
            whole_time=row["whole_time"],
            changed_since=row["changed_since"],
        )

    async def renew(self, tenant: str, claimed: Claimed, counts: Counts, *, lease: timedelta) -> None:
        """Raises `LeaseLost`."""
        async with self._database.tenant(tenant) as connection:
            status = await connection.execute(
                """
                update knowledge.base_syncs
                set lease_end = now() + $3::interval, created_count = $4, updated_count = $5,
                    removed_count = $6, rejected_count = $7
                where name = $1 and lease_id = $2
                """,
                *(claimed.name, claimed.lease_id, lease),
                *(counts.created, counts.updated, counts.removed, counts.rejected),
            )
        if status != "UPDATE 1":
            raise LeaseLost

    async def succeed(self, tenant: str, claimed: Claimed, *, whole: bool, again: timedelta) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                _SUCCEED, claimed.name, claimed.lease_id, whole, claimed.due_time, again, claimed.settings
            )

    async def fail(self, tenant: str, claimed: Claimed, error: str, *, again: timedelta) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(_FAIL, claimed.name, claimed.lease_id, error, claimed.due_time, again)

    async def forget(self, tenant: str, claimed: Claimed) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "delete from knowledge.base_syncs where name = $1 and lease_id = $2",
                claimed.name,
                claimed.lease_id,
            )

    async def ask(self, tenant: str, name: Source, *, by: Actor) -> SyncStanding:
        """Have it begin now, whole."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """
                insert into knowledge.base_syncs (name) values ($1)
                on conflict (tenant_id, name) do update set due_time = now(), whole_wanted = true
                """,
                name,
            )
            action = Action("SyncKnowledgeBase", f"knowledge_bases/{name}")
            await self._outbox.add(connection, tenant, by, action)
            (row,) = await connection.fetch(_STANDINGS, name)
        return _standing(row)

    async def standings(self, tenant: str) -> Sequence[SyncStanding]:
        """All of a client's, by name."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(_STANDINGS, None)
        return [_standing(row) for row in rows]

    async def _take_turn(self, connection: Connection, tenant: str) -> None:
        """Two replicas must not take two of one client's at once."""
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"knowledge.base_syncs:{tenant}"
        )


def _standing(row: Row) -> SyncStanding:
    return SyncStanding(
        name=Source(row["name"]),
        running=row["running"],
        due_time=row["due_time"],
        start_time=row["start_time"],
        success_time=row["success_time"],
        error=row["error"],
        counts=Counts(
            row["created_count"], row["updated_count"], row["removed_count"], row["rejected_count"]
        ),
        articles=row["articles"],
    )
