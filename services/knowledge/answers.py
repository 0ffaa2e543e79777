"""Finds the passages that answer a ticket or a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from embedding.questions import Meaning, Questions
from retrieval.documents import lexemes
from retrieval.questions import Plan, plan, read
from retrieval.relevance import Ranking, relevance
from services.knowledge import telemetry
from services.knowledge.model import Answer, Candidate, comparable, fields
from services.knowledge.searching import Searching
from services.knowledge.store import TenantArticles
from services.runtime.telemetry import span

# By words, and as many by meaning: what is best by both together is not among the first few of either.
_CANDIDATES_LEAST: Final = 50


@dataclass(frozen=True, slots=True)
class Search:
    subject: str
    description: str
    limit: int
    ranking: Ranking
    with_surroundings: bool = False


@dataclass(frozen=True, slots=True)
class _Scored:
    candidate: Candidate
    lexical: float
    place: float
    """Orders also those whose score is 0."""

    @property
    def score(self) -> float:
        return max(0.0, self.place)


async def find_answers(articles: TenantArticles, questions: Questions, search: Search) -> list[Answer]:
    """Best first, at most one passage an article; empty when nothing reaches the floor."""
    question = read(search.subject, search.description)
    # Before the transaction, which would wait along.
    by_meaning = search.ranking.meaning_share > 0
    meaning = await questions.meaning(f"{search.subject}\n{search.description}") if by_meaning else None
    telemetry.count_question(by_meaning=meaning is not None)
    async with articles.searching() as index:
        planned = plan(question, await index.frequencies(question.lexemes))
        with span(telemetry.CANDIDATES_SPAN):
            candidates = await _candidates(index, planned, meaning, search)
        best = _best(candidates, planned, search)
        keys = [each.candidate.key for each in best]
        found = await index.read(keys, with_surroundings=search.with_surroundings) if keys else {}
    return [
        Answer(
            article,
            passage,
            score=each.score,
            lexical=each.lexical,
            cosine=each.candidate.cosine,
            matched=planned.matched(lexemes(fields(article, passage))),
            surroundings=tuple(passages.values()),
        )
        for each in best
        # One replaced since is no longer evidence.
        if each.candidate.key in found
        for article, passages in [found[each.candidate.key]]
        if (passage := passages.pop(each.candidate.key.position, None))
    ]


async def _candidates(
    index: Searching, planned: Plan, meaning: Meaning | None, search: Search
) -> Sequence[Candidate]:
    if meaning is not None:
        enough = max(search.limit, _CANDIDATES_LEAST)
        weights = search.ranking.weights
        candidates = await index.candidates_by_meaning(planned, meaning, weights=weights, limit=enough)
        if comparable(candidates):
            return candidates
    return await index.candidates(planned, limit=search.limit) if planned.seeds else []


def _best(candidates: Sequence[Candidate], planned: Plan, search: Search) -> list[_Scored]:
    scored, weights = [], search.ranking.weights
    for candidate in candidates:
        lexical = planned.score(candidate.summed)
        scored.append(_Scored(candidate, lexical, place=relevance(lexical, candidate.cosine, weights)))
    relevant = [each for each in scored if each.score >= search.ranking.floor]
    relevant.sort(key=lambda each: -each.place)
    return relevant[: search.limit]
