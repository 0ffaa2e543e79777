"""The queries that went worst, by the titles of what was asked, expected and found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cli.evaluating.documents import Documents, documents_of
from cli.evaluating.judgements import Query
from cli.evaluating.shown import Evaluated
from cli.instance import Instance

_SHOWN: Final = 15
_OF_EACH: Final = 3
_BY: Final = "ndcg_at_10"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Titled:
    document: str
    title: str
    """Empty where it is not there."""
    score: float | None
    """None where it was not found."""
    is_right: bool


@dataclass(frozen=True, slots=True)
class Worst:
    query: str
    title: str
    value: float
    expected: Sequence[Titled]
    found: Sequence[Titled]


async def worst_of(done: Evaluated, instance: Instance) -> Sequence[Worst]:
    values = done.judged.values[_BY]
    worst = sorted(done.queries, key=lambda query: (values[query.id], query.id))[:_SHOWN]
    has_sources = done.own is not None
    async with documents_of(instance, done.kind, tenant=done.client, has_sources=has_sources) as documents:
        return [await _worst(query, done, documents) for query in worst if values[query.id] < 1]


async def _worst(query: Query, done: Evaluated, documents: Documents) -> Worst:
    results = done.judged.asked.found[query.id]
    scores = {each.document: each.score for each in results}
    right = done.relevant[query.id]

    async def titled(document: str) -> Titled:
        title = await documents.title_of(document) or ""
        return Titled(document, title[:_LONGEST], scores.get(document), is_right=document in right)

    asked = query.subject or query.description
    if query.is_document:
        asked = await documents.title_of(query.id) or ""
    # The best of them first: by how relevant, then by where they were found.
    expected = sorted(right, key=lambda document: (-right[document], -scores.get(document, 0), document))
    return Worst(
        query=query.id,
        title=asked[:_LONGEST],
        value=done.judged.values[_BY][query.id],
        expected=[await titled(document) for document in expected[:_OF_EACH]],
        found=[await titled(each.document) for each in results[:_OF_EACH]],
    )
