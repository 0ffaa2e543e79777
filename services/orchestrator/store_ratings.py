"""What people think of what briefs cited: kept with their feedback, until history or knowledge has it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dossier.context.v1.ticket_pb2 import Ticket
from services.orchestrator.model import Document, DocumentKind, Feedback
from services.runtime.database import Connection, Database

# Who says the same again changes nothing.
_VOTE: Final = """
    insert into orchestrator.ratings as known
        (id, enhancement_id, evidence_id, voice, kind, document_source, document_id, helpful)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (enhancement_id, evidence_id, voice) do update
        set helpful = excluded.helpful, revision = known.revision + 1
        where known.helpful is distinct from excluded.helpful
"""
_WITHDRAW: Final = """
    update orchestrator.ratings set helpful = null, revision = revision + 1
    where enhancement_id = $1 and evidence_id = $2 and voice = $3 and helpful is not null
"""
_WAITING: Final = """
    select r.id, r.revision, r.kind, r.document_source, r.document_id, r.helpful, e.ticket
    from orchestrator.ratings r join orchestrator.enhancements e on e.id = r.enhancement_id
    where r.tenant_id = $1 and r.kind = $2 and r.handed_over < r.revision
        and (r.id, r.revision) not in (select * from unnest($3::text[], $4::bigint[]))
    order by r.create_time, r.id limit $5
"""


class Word(NamedTuple):
    """What somebody said once: who changes it says another."""

    id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's word on one citation; `helpful` is None when it was taken back."""

    word: Word
    document: Document
    helpful: bool | None
    ticket: Ticket
    """What the brief is about."""


async def keep_rating(connection: Connection, feedback: Feedback, document: Document, *, voice: str) -> None:
    """A person has one voice on a citation: the latest word holds."""
    if feedback.withdrawn:
        await connection.execute(_WITHDRAW, feedback.enhancement_id, feedback.evidence_id, voice)
        return
    await connection.execute(
        _VOTE,
        feedback.id,
        feedback.enhancement_id,
        feedback.evidence_id,
        voice,
        document.kind,
        document.source,
        document.id,
        feedback.helpful,
    )


async def backlog(database: Database) -> Mapping[str, int]:
    """How many ratings of each tenant wait, the one that has waited longest first."""
    async with database.transaction() as connection:
        rows = await connection.fetch("select * from orchestrator.ratings_backlog()")
    return {row["tenant_id"]: row["ratings"] for row in rows}


async def waiting(
    database: Database, tenant: str, kind: DocumentKind, *, besides: Collection[Word], most: int
) -> Sequence[Rating]:
    """The longest waiting on documents of that kind, without those `besides`."""
    ids, revisions = [word.id for word in besides], [word.revision for word in besides]
    async with database.tenant(tenant) as connection:
        rows = await connection.fetch(_WAITING, tenant, kind, ids, revisions, most)
    return [
        Rating(
            word=Word(row["id"], row["revision"]),
            document=Document(DocumentKind(row["kind"]), row["document_source"], row["document_id"]),
            helpful=row["helpful"],
            ticket=Ticket.FromString(row["ticket"]),
        )
        for row in rows
    ]


async def handed_over(database: Database, tenant: str, rating: Rating) -> None:
    """Of a word that changed meanwhile, the later one waits on."""
    async with database.tenant(tenant) as connection:
        await connection.execute(
            "update orchestrator.ratings set handed_over = greatest(handed_over, $2) where id = $1",
            *rating.word,
        )
