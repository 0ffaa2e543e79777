"""Finds the passages that answer a ticket or a question."""

from dataclasses import dataclass

from retrieval.documents import weigh
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
    planned = plan(question, await articles.frequencies(question.lexemes))
    if planned is None:
        return []
    with span(telemetry.CANDIDATES_SPAN):
        candidates = await articles.candidates(planned, limit=search.limit)
    scores = {candidate.key: planned.score(candidate.summed) for candidate in candidates}
    relevant = [key for key, score in scores.items() if score >= search.min_score]
    read_passages = await articles.read_passages(relevant)
    around = await articles.surroundings(relevant) if search.with_surroundings else {}
    return [
        Answer(
            article,
            passage,
            score=scores[key],
            matched=planned.matched(weigh(fields(article, passage)).keys()),
            surroundings=tuple(around.get(key, ())),
        )
        for key in relevant
        # One replaced since is no longer evidence.
        if key in read_passages
        for article, passage in [read_passages[key]]
    ]
