"""How alike tickets are that were found together, asked of PostgreSQL."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

from services.history.incidents import Likeness, Pair
from services.history.model import Source, TicketId, TicketKey
from services.runtime.database import Connection

# Pair by pair; by meaning where both have a vector of the model, and of what they are now. (`isfinite` as in
# the store's search: by key, not by age.)
_ALIKE: Final = """
    with parts as materialized (
        select s.source, s.ticket_id, s.weights, case when b.ticket_id is null then v.vector end as vector
        from unnest($1::text[], $2::text[]) as wanted (source, ticket_id)
        join history.ticket_search as s using (source, ticket_id)
        left join history.ticket_vectors as v
            on (v.tenant_id, v.source, v.ticket_id) = (s.tenant_id, s.source, s.ticket_id) and v.model = $7
        left join history.embedding_backlog as b
            on (b.tenant_id, b.source, b.ticket_id) = (s.tenant_id, s.source, s.ticket_id)
            and isfinite(b.added)
    )
    select pair.*, 1 - (one.weights operator(public.<=>) other.weights) as words,
           1 - (one.vector operator(public.<=>) other.vector) as meaning
    from unnest($3::text[], $4::text[], $5::text[], $6::text[])
        as pair (one_source, one_id, other_source, other_id)
    join parts as one on one.source = one_source and one.ticket_id = one_id
    join parts as other on other.source = other_source and other.ticket_id = other_id
"""


async def likenesses(connection: Connection, pairs: Sequence[Pair], *, model: str) -> dict[Pair, Likeness]:
    """Compare pairs of tickets; without those of which one is not searchable any more."""
    if not pairs:
        return {}
    keys = list(dict.fromkeys(chain.from_iterable(pairs)))
    rows = await connection.fetch(
        _ALIKE,
        [key.source for key in keys],
        [key.id for key in keys],
        [one.source for one, _ in pairs],
        [one.id for one, _ in pairs],
        [other.source for _, other in pairs],
        [other.id for _, other in pairs],
        model,
    )
    return {
        (
            TicketKey(Source(row["one_source"]), TicketId(row["one_id"])),
            TicketKey(Source(row["other_source"]), TicketId(row["other_id"])),
        ): Likeness(row["words"], row["meaning"])
        for row in rows
    }
