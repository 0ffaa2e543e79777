"""What people think of tickets that briefs cited, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.documents import VERSION
from retrieval.mail import own_words
from retrieval.questions import Plan, read
from retrieval.ratings import Standing, Voice, standing
from retrieval.sparse import sparse_vector
from services.history.model import Source, TicketId, TicketKey
from services.runtime.database import Connection, Database

# Of one ticket: a well-known one may have thousands, and the latest know best.
_MOST_VOICES: Final = 100
_RATE: Final = """
    insert into history.ticket_ratings as known
        (source, ticket_id, rating_id, revision, helpful, version, weights)
    select source, ticket_id, $3, $4, $5, $6, $7::text::public.sparsevec
    from history.tickets where source = $1 and ticket_id = $2
    on conflict (tenant_id, source, ticket_id, rating_id) do update
        set revision = excluded.revision, helpful = excluded.helpful,
            version = excluded.version, weights = excluded.weights
        where known.revision < excluded.revision
"""
_VOICES: Final = """
    select wanted.source, wanted.ticket_id, rating.helpful,
           -(rating.weights operator(public.<#>) $3::text::public.sparsevec) as summed
    from unnest($1::text[], $2::text[]) as wanted (source, ticket_id)
    cross join lateral (
        select r.helpful, r.weights from history.ticket_ratings as r
        where r.source = wanted.source and r.ticket_id = wanted.ticket_id
            and r.helpful is not null and r.version = $4
        order by r.rating_id desc limit $5
    ) as rating
"""


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's word on one citation of a ticket; `helpful` is None when it was taken back."""

    id: str
    revision: int
    ticket: TicketKey
    helpful: bool | None
    subject: str
    description: str


async def rate(database: Database, tenant: str, rating: Rating) -> bool:
    """Keep it; False where a later word is kept, or there is no such ticket."""
    question = read(rating.subject, own_words(rating.description))
    async with database.tenant(tenant) as connection:
        status = await connection.execute(
            _RATE,
            rating.ticket.source,
            rating.ticket.id,
            rating.id,
            rating.revision,
            rating.helpful,
            VERSION,
            sparse_vector(question.copy),
        )
    return status == "INSERT 0 1"


async def standings(
    connection: Connection, keys: Sequence[TicketKey], planned: Plan
) -> Mapping[TicketKey, Standing]:
    """Of those tickets that people rated on questions like the planned one."""
    rows = await connection.fetch(
        _VOICES,
        [key.source for key in keys],
        [key.id for key in keys],
        sparse_vector(planned.weights),
        VERSION,
        _MOST_VOICES,
    )
    voices: dict[TicketKey, list[Voice]] = {}
    for row in rows:
        key = TicketKey(Source(row["source"]), TicketId(row["ticket_id"]))
        voices.setdefault(key, []).append(Voice(row["helpful"], planned.share(row["summed"])))
    return {key: standing(of_ticket) for key, of_ticket in voices.items()}
