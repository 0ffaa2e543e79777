"""The vectors of tickets in PostgreSQL, and what waits for one."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from embedding.backfill import Lag, Waiting
from embedding.contract import Vector
from embedding.half import half_vector
from services.history.model import Source, TicketId, TicketKey, text_of
from services.runtime.database import NOT_MIGRATED, Database
from services.runtime.errors import DependencyUnavailable, TransactionAborted

_TEXTS: Final = """
    select wanted.source, wanted.ticket_id, title, description
    from unnest($1::text[], $2::text[]) as wanted (source, ticket_id)
    join history.tickets using (source, ticket_id)
    join history.ticket_search using (tenant_id, source, ticket_id)
"""
# Of a ticket that has changed since, the vector is of what it was: it is in the backlog again, added later.
_KEEP: Final = """
    with done as (
        delete from history.embedding_backlog as b
        using unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
            as new (source, ticket_id, added, vector)
        where b.source = new.source and b.ticket_id = new.ticket_id and b.added = new.added
        returning new.*
    ), meaningless as (
        delete from history.ticket_vectors as v using done
        where v.source = done.source and v.ticket_id = done.ticket_id and done.vector is null
    )
    insert into history.ticket_vectors (source, ticket_id, model, vector)
    select done.source, done.ticket_id, $5, done.vector::public.halfvec from done
    join history.ticket_search using (source, ticket_id)
    where done.vector is not null
    on conflict (tenant_id, source, ticket_id) do update
        set model = excluded.model, vector = excluded.vector
"""


class Vectors:
    """What history keeps for `embedding.backfill`."""

    troubles = (DependencyUnavailable, TransactionAborted, TimeoutError, *NOT_MIGRATED)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, count: int, *, lease: timedelta) -> Sequence[Waiting[TicketKey]]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select * from history.take_backlog($1, $2)", count, lease)
        return [
            Waiting(row["tenant_id"], _key(row["source"], row["ticket_id"]), row["added"]) for row in rows
        ]

    async def texts(self, tenant: str, keys: Sequence[TicketKey]) -> dict[TicketKey, str]:
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(_TEXTS, [key.source for key in keys], [key.id for key in keys])
        return {
            _key(row["source"], row["ticket_id"]): text_of(row["title"], row["description"]) for row in rows
        }

    async def keep(
        self, tenant: str, done: Sequence[tuple[Waiting[TicketKey], Vector | None]], *, model: str
    ) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                _KEEP,
                [each.key.source for each, _ in done],
                [each.key.id for each, _ in done],
                [each.added for each, _ in done],
                [None if vector is None else half_vector(vector) for _, vector in done],
                model,
            )

    async def queue_unembedded(
        self, model: str, after: tuple[str, TicketKey] | None, count: int
    ) -> tuple[str, TicketKey] | None:
        tenant, key = after or ("", TicketKey(Source(""), TicketId("")))
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "select * from history.queue_unembedded($1, $2, $3, $4, $5)",
                model,
                tenant,
                key.source,
                key.id,
                count,
            )
        return None if row is None else (row["tenant_id"], _key(row["source"], row["ticket_id"]))

    async def lag(self) -> Lag:
        async with self._database.transaction() as connection:
            (row,) = await connection.fetch("select * from history.backlog_state()")
        return Lag(row["waiting"], row["oldest_seconds"])


def _key(source: str, ticket_id: str) -> TicketKey:
    return TicketKey(Source(source), TicketId(ticket_id))
