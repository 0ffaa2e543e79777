"""Finds the passages that answer a ticket or a question."""

from dataclasses import dataclass

from retrieval.documents import lexemes
from retrieval.questions import plan, read
from services.knowledge import telemetry
from services.knowledge.model import RELEVANCE_FLOOR, Answer, fields
from services.knowledge.store import TenantArticles
from services.runtime.telemetry import span


@dataclass(frozen=True, slots=True)
class Search:
    subject: str
    description: str
    limit: int
    min_score: float = RELEVANCE_FLOOR
    with_surroundings: bool = False


async def find_answers(articles: TenantArticles, search: Search) -> list[Answer]:
    """Best first, at most one passage an article; empty when nothing reaches the floor."""
    question = read(search.subject, search.description)
    if not question.lexemes:
        return []
    async with articles.searching() as index:
        planned = plan(question, await index.frequencies(question.lexemes))
        if not planned.seeds:
            return []
        with span(telemetry.CANDIDATES_SPAN):
            candidates = await index.candidates(planned, limit=search.limit)
        scores = {candidate.key: planned.score(candidate.summed) for candidate in candidates}
        relevant = [key for key, score in scores.items() if score >= search.min_score]
        if not relevant:
            return []
        found = await index.read(relevant, with_surroundings=search.with_surroundings)
    return [
        Answer(
            article,
            passage,
            score=scores[key],
            matched=planned.matched(lexemes(fields(article, passage))),
            surroundings=tuple(passages.values()),
        )
        for key in relevant
        # One replaced since is no longer evidence.
        if key in found
        for article, passages in [found[key]]
        if (passage := passages.pop(key.position, None))
    ]
