"""One tenant's tickets in PostgreSQL."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import orjson

from audit.changes import changed, differences
from audit.event import Action, Actor
from audit.imports import ImportEvent
from audit.outbox import Outbox
from embedding.half import half_vector
from embedding.questions import Meaning
from retrieval.documents import VERSION
from retrieval.questions import Frequencies, Plan
from retrieval.ratings import Standing
from retrieval.sparse import sparse_vector
from services.history.incidents import Likeness, Pair
from services.history.likeness import likenesses
from services.history.model import (
    Candidate,
    Source,
    Ticket,
    TicketId,
    TicketKey,
    TicketReference,
)
from services.history.ratings import standings
from services.runtime.database import Connection, Database

AUDIT: Final = Outbox("history")
_COLUMNS: Final = """
    source, ticket_id, title, description, resolution, status, category, tags, assets, url, created, resolved,
    site, organisation
"""
_UPSERT: Final = f"""
    insert into history.tickets as known ({_COLUMNS}, has_resolution)
    select {_COLUMNS}, has_resolution from jsonb_to_recordset($1::jsonb) as new (
        source text, ticket_id text, title text, description text, resolution text, has_resolution boolean,
        status text, category text, tags text[], assets text[], url text, created timestamptz,
        resolved timestamptz, site text, organisation text
    )
    on conflict (tenant_id, source, ticket_id) do update set
        title = excluded.title, description = excluded.description, resolution = excluded.resolution,
        has_resolution = excluded.has_resolution, status = excluded.status, category = excluded.category,
        tags = excluded.tags, assets = excluded.assets, url = excluded.url, created = excluded.created,
        resolved = excluded.resolved, site = excluded.site, organisation = excluded.organisation
    where (known.title, known.description, known.resolution, known.status, known.category, known.tags,
           known.assets, known.url, known.created, known.resolved, known.site, known.organisation)
        is distinct from
          (excluded.title, excluded.description, excluded.resolution, excluded.status, excluded.category,
           excluded.tags, excluded.assets, excluded.url, excluded.created, excluded.resolved, excluded.site,
           excluded.organisation)
    returning source, ticket_id, known.xmax = 0 as created
"""  # noqa: S608 - a constant
_INDEX: Final = """
    insert into history.ticket_search (source, ticket_id, version, lexemes, weights)
    select source, ticket_id, $2, array_to_tsvector(lexemes), weights::public.sparsevec
    from jsonb_to_recordset($1::jsonb)
        as new (source text, ticket_id text, lexemes text[], weights text)
"""
# What is found now is embedded soon; what changed meanwhile, once more.
_TO_EMBED: Final = """
    insert into history.embedding_backlog (source, ticket_id)
    select * from unnest($1::text[], $2::text[])
    on conflict (tenant_id, source, ticket_id) do update
        set added = excluded.added, taken_until = excluded.taken_until
"""
# Those that mean what they meant: what is embedded, or waits for it, is their text.
_UNCHANGED_TEXTS: Final = """
    select source, ticket_id
    from jsonb_to_recordset($1::jsonb) as new (source text, ticket_id text, title text, description text)
    join history.tickets as known using (source, ticket_id)
    join history.ticket_search using (tenant_id, source, ticket_id)
    where (known.title, known.description) = (new.title, new.description) and exists (
        select from history.ticket_vectors as v
        where (v.tenant_id, v.source, v.ticket_id) = (known.tenant_id, known.source, known.ticket_id)
        union all
        select from history.embedding_backlog as b
        where (b.tenant_id, b.source, b.ticket_id) = (known.tenant_id, known.source, known.ticket_id)
    )
"""
_UNINDEX: Final = """
    delete from history.ticket_search using unnest($1::text[], $2::text[]) as gone (source, ticket_id)
    where ticket_search.source = gone.source and ticket_search.ticket_id = gone.ticket_id
"""
_FORGET_MEANING: Final = """
    with unwanted as (
        delete from history.embedding_backlog using unnest($1::text[], $2::text[]) as gone (source, ticket_id)
        where embedding_backlog.source = gone.source and embedding_backlog.ticket_id = gone.ticket_id
    )
    delete from history.ticket_vectors using unnest($1::text[], $2::text[]) as gone (source, ticket_id)
    where ticket_vectors.source = gone.source and ticket_vectors.ticket_id = gone.ticket_id
"""
# What of a ticket decides beside its text.
_CIRCUMSTANCES: Final = "title, assets, site, organisation, has_resolution, created, resolved"
# Both legs, and of what either found both what its words add up to and how near it is, unless the vector is
# of what it was. (What waits only for the vector of another model has not changed.) `isfinite`, not
# `> '-infinity'`: that could be looked up in the index by age, which holds every client's rows and dead ones.
_BY_MEANING: Final = f"""
    with question as (
        select $2::text::public.sparsevec as words, $5::text::public.halfvec as meaning
    ), found as (
        select source, ticket_id from question, history.find_candidates($1, words, $3, $4, $8)
        union
        select source, ticket_id from question, history.find_nearest(meaning, $6, $7, $4)
    )
    select source, ticket_id, {_CIRCUMSTANCES},
           case when s.version = $3 then -(s.weights operator(public.<#>) words) else 0 end as summed,
           case when waiting.ticket_id is null
                then 1 - (v.vector operator(public.<=>) meaning) end as cosine
    from question, found
    join history.tickets using (source, ticket_id)
    join history.ticket_search as s using (tenant_id, source, ticket_id)
    left join (select * from history.ticket_vectors where model = $6) as v
        using (tenant_id, source, ticket_id)
    left join (select * from history.embedding_backlog where isfinite(added)) as waiting
        using (tenant_id, source, ticket_id)
"""  # noqa: S608 - a constant
FEW_VECTORS: Final = 5_000
"""One by one, while they are no more than so many; then by an index of the tenant's own."""
# Building the index of a million takes ten minutes.
_INDEX_SECONDS: Final = 3_600.0
# Every row has a place, also without a time of creation: those come last.
_PLACE: Final = "coalesce(created, '-infinity'::timestamptz)"


@dataclass(frozen=True, slots=True)
class IndexedTicket:
    """A ticket and the weights of its lexemes; none, when it is not to be found."""

    ticket: Ticket
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write found: the tickets that were not known, and those that were known differently."""

    created: frozenset[TicketKey]
    updated: frozenset[TicketKey]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list a ticket stands."""

    created: str
    key: TicketKey


class TenantTickets:
    def __init__(self, database: Database, tenant: str, *, embedded: bool) -> None:
        self._database = database
        self._tenant = tenant
        self._embedded = embedded

    async def record(self, ticket: IndexedTicket, *, by: Actor) -> Written:
        """Insert or replace one."""
        key = ticket.ticket.key
        async with self._database.tenant(self._tenant) as connection:
            await self._become_writer(connection)
            row = await connection.fetchrow(
                f"select {_COLUMNS} from history.tickets where source = $1 and ticket_id = $2",  # noqa: S608
                *(key.source, key.id),
            )
            written = await self._write(connection, [ticket])
            if written.created or written.updated:
                before = _ticket(row) if row is not None else None
                changes = differences(before, ticket.ticket, without={"key"})
                action = Action("RecordTicket", f"tickets/{key.source}/{key.id}", changes)
                await AUDIT.add(connection, self._tenant, by, action)
        return written

    async def write(self, tickets: Sequence[IndexedTicket], event: ImportEvent) -> Written:
        """Insert or replace some of an import in one transaction; no two of them have the same key."""
        async with self._database.tenant(self._tenant) as connection:
            await self._become_writer(connection)
            written = await self._write(connection, tickets)
            await event.count(connection, created=len(written.created), updated=len(written.updated))
        return written

    async def _write(self, connection: Connection, tickets: Sequence[IndexedTicket]) -> Written:
        by_key = {each.ticket.key: each for each in tickets}
        told = _json(map(_ticket_row, tickets))
        unchanged = set[TicketKey]()
        if self._embedded:
            unchanged = {_key(row) for row in await connection.fetch(_UNCHANGED_TEXTS, told)}
        rows = await connection.fetch(_UPSERT, told)
        created = [_key(row) for row in rows if row["created"]]
        updated = [_key(row) for row in rows if not row["created"]]
        await self._unindex(connection, updated)
        # The others keep the vector of what they were, which nothing compares, until the embedder has given
        # them their next: a write to the vectors waits while an index of any tenant is made.
        unlike = [key for key in updated if not (self._embedded and by_key[key].weights)]
        await self._forget_meaning(connection, unlike)
        await self._index(connection, [by_key[_key(row)] for row in rows], meaning_as_before=unchanged)
        return Written(created=frozenset(created), updated=frozenset(updated))

    async def find(self, reference: TicketReference) -> Ticket | None:
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS} from history.tickets"  # noqa: S608 - constants
                " where ticket_id = $1 and ($2::text is null or source = $2) order by source limit 1",
                reference.id,
                reference.source,
            )
        return None if row is None else _ticket(row)

    async def page(
        self, *, source: Source | None, after: Place | None, size: int
    ) -> tuple[list[Ticket], Place | None]:
        """Read up to `size` tickets, the latest created first; with the last one's place if more follow."""
        # Two statements: with one for both, the plan could not start in the index where the page does.
        where, place = "$1::text is null or source = $1", []
        if after is not None:
            where = f"({where}) and ({_PLACE}, source, ticket_id) < ($3::text::timestamptz, $4, $5)"
            place = [after.created, after.key.source, after.key.id]
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS}, {_PLACE}::text as place from history.tickets where {where}"  # noqa: S608
                f" order by {_PLACE} desc, source desc, ticket_id desc limit $2",
                source,
                size + 1,
                *place,
            )
        shown = rows[:size]
        more = len(rows) > size
        return [_ticket(row) for row in shown], Place(shown[-1]["place"], _key(shown[-1])) if more else None

    async def delete(self, reference: TicketReference, *, by: Actor) -> bool:
        async with self._database.tenant(self._tenant) as connection:
            await self._become_writer(connection)
            rows = await connection.fetch(
                "delete from history.tickets"  # noqa: S608 - constants
                " where ticket_id = $1 and ($2::text is null or source = $2)"
                f" returning {_COLUMNS}",
                reference.id,
                reference.source,
            )
            await self._unindex(connection, [_key(row) for row in rows])
            await self._forget_meaning(connection, [_key(row) for row in rows])
            if rows:
                await AUDIT.add(connection, self._tenant, by, _deletion(list(map(_ticket, rows))))
        return bool(rows)

    @asynccontextmanager
    async def searching(self) -> AsyncIterator["Searching"]:
        """One transaction for what one search reads."""
        async with self._database.tenant(self._tenant) as connection:
            yield Searching(connection)

    async def _become_writer(self, connection: Connection) -> None:
        """Wait for this tenant's other writers: they would lock the lexemes' counts in crossing orders."""
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"history.tickets:{self._tenant}"
        )

    async def _index(
        self,
        connection: Connection,
        tickets: Sequence[IndexedTicket],
        *,
        meaning_as_before: Collection[TicketKey],
    ) -> None:
        rows = [
            {
                "source": each.ticket.key.source,
                "ticket_id": each.ticket.key.id,
                "lexemes": list(each.weights),
                "weights": sparse_vector(each.weights),
            }
            for each in tickets
            if each.weights
        ]
        if rows:
            await connection.execute(_INDEX, _json(rows), VERSION)
        keys = [
            each.ticket.key for each in tickets if each.weights and each.ticket.key not in meaning_as_before
        ]
        if keys and self._embedded:
            await connection.execute(_TO_EMBED, [key.source for key in keys], [key.id for key in keys])

    async def _unindex(self, connection: Connection, keys: Sequence[TicketKey]) -> None:
        if keys:
            await connection.execute(_UNINDEX, [key.source for key in keys], [key.id for key in keys])

    async def _forget_meaning(self, connection: Connection, keys: Sequence[TicketKey]) -> None:
        if keys:
            await connection.execute(_FORGET_MEANING, [key.source for key in keys], [key.id for key in keys])


async def tend_vector_indexes(database: Database, *, few: int) -> str | None:
    """Make the index of a tenant with more than `few` vectors, or drop one that is not worth it any more.

    Gives its name, None when there was nothing to do; somebody else may be at it.
    """
    async with database.transaction() as connection:
        name: str | None = await connection.fetchval(
            "select history.tend_vector_indexes($1)", few, timeout=_INDEX_SECONDS
        )
    return name


class Searching:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._corpus = 0

    async def frequencies(self, lexemes: Collection[str]) -> Frequencies:
        rows = await self._connection.fetch(
            "select lexeme, tickets from history.lexeme_counts where lexeme = any($1::text[])",
            ["", *lexemes],
        )
        documents: dict[str, int] = {row["lexeme"]: row["tickets"] for row in rows}
        self._corpus = documents.pop("", 0)
        return Frequencies(corpus=self._corpus, documents=documents)

    async def candidates(self, plan: Plan, *, least: float, limit: int) -> list[Candidate]:
        """Find the tickets whose words add up to most, and to `least` at least, best first."""
        rows = await self._connection.fetch(
            f"select source, ticket_id, summed, {_CIRCUMSTANCES}"  # noqa: S608 - a constant
            " from history.find_candidates($1, $2::text::public.sparsevec, $3, $4, $6)"
            " join history.tickets using (source, ticket_id)"
            " where summed >= $5 order by summed desc, source, ticket_id",
            list(plan.seeds),
            sparse_vector(plan.weights),
            VERSION,
            limit,
            least,
            plan.together,
        )
        return [_candidate(row, cosine=None) for row in rows]

    async def candidates_by_meaning(self, plan: Plan, meaning: Meaning, *, limit: int) -> list[Candidate]:
        """Find the tickets whose words add up to most, and as many that mean most nearly the same."""
        rows = await self._connection.fetch(
            _BY_MEANING,
            list(plan.seeds),
            sparse_vector(plan.weights),
            VERSION,
            limit,
            half_vector(meaning.vector),
            meaning.model,
            self._corpus <= FEW_VECTORS,
            plan.together,
        )
        return [_candidate(row, cosine=row["cosine"]) for row in rows]

    async def standings(self, keys: Sequence[TicketKey], plan: Plan) -> Mapping[TicketKey, Standing]:
        """What people think of tickets, where they judged them on questions like this one."""
        return await standings(self._connection, keys, plan)

    async def likenesses(self, pairs: Sequence[Pair], *, model: str) -> dict[Pair, Likeness]:
        """Compare pairs of tickets; without those of which one is not searchable any more."""
        return await likenesses(self._connection, pairs, model=model)

    async def details(
        self, keys: Sequence[TicketKey], lexemes: Collection[str]
    ) -> dict[TicketKey, tuple[Ticket, frozenset[str]]]:
        """Read tickets, each with those of the lexemes that it is found by."""
        rows = await self._connection.fetch(
            f"select {_COLUMNS}, array("  # noqa: S608 - constants
            "   select unnest(tsvector_to_array(lexemes)) intersect select unnest($3::text[])"
            " ) as found from unnest($1::text[], $2::text[]) as wanted (source, ticket_id)"
            " join history.tickets using (source, ticket_id)"
            " join history.ticket_search using (tenant_id, source, ticket_id)",
            [key.source for key in keys],
            [key.id for key in keys],
            list(lexemes),
        )
        return {_key(row): (_ticket(row), frozenset(row["found"])) for row in rows}


def _deletion(tickets: Sequence[Ticket]) -> Action:
    first = tickets[0]
    if len(tickets) == 1:
        changes = differences(first, None, without={"key"})
        return Action("DeleteTicket", f"tickets/{first.key.source}/{first.key.id}", changes)
    titles = {str(each.key.source): each.title for each in tickets}
    return Action("DeleteTicket", f"tickets/-/{first.key.id}", changed(titles, {}))


def _json(rows: Iterable[Mapping[str, object]]) -> str:
    return orjson.dumps(list(rows)).decode()


def _ticket_row(indexed: IndexedTicket) -> dict[str, object]:
    ticket = indexed.ticket
    return {
        "source": ticket.key.source,
        "ticket_id": ticket.key.id,
        "title": ticket.title,
        "description": ticket.description,
        "resolution": ticket.resolution,
        "has_resolution": ticket.has_resolution,
        "status": ticket.status,
        "category": ticket.category,
        "tags": ticket.tags,
        "assets": ticket.assets,
        "url": ticket.url,
        "created": ticket.created,
        "resolved": ticket.resolved,
        "site": ticket.site,
        "organisation": ticket.organisation,
    }


def _key(row: asyncpg.Record) -> TicketKey:
    return TicketKey(Source(row["source"]), TicketId(row["ticket_id"]))


def _candidate(row: asyncpg.Record, *, cosine: float | None) -> Candidate:
    return Candidate(
        key=_key(row),
        summed=row["summed"],
        cosine=cosine,
        title=row["title"],
        assets=tuple(row["assets"]),
        site=row["site"],
        organisation=row["organisation"],
        has_resolution=row["has_resolution"],
        created=row["created"],
        resolved=row["resolved"],
    )


def _ticket(row: asyncpg.Record) -> Ticket:
    return Ticket(
        key=_key(row),
        title=row["title"],
        description=row["description"],
        resolution=row["resolution"],
        status=row["status"],
        category=row["category"],
        tags=tuple(row["tags"]),
        assets=tuple(row["assets"]),
        url=row["url"],
        created=row["created"],
        resolved=row["resolved"],
        site=row["site"],
        organisation=row["organisation"],
    )
