"""Finds the passages that answer a ticket or a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from embedding.questions import Meaning, Questions
from retrieval.documents import lexemes
from retrieval.mail import own_words
from retrieval.questions import Frequencies, Plan, Question, plan, read
from retrieval.ratings import UNRATED, Standing
from retrieval.relevance import Ranking, Weights, relevance
from services.knowledge import telemetry
from services.knowledge.model import Answer, ArticleKey, Candidate, comparable, fields
from services.knowledge.searching import Searching
from services.knowledge.store import TenantArticles
from services.runtime.telemetry import span

# By words, and as many by meaning: what is best by both together, or by what people think of it, is not among
# the first few of either.
_CANDIDATES_LEAST: Final = 50


@dataclass(frozen=True, slots=True)
class Search:
    subject: str
    description: str
    limit: int
    ranking: Ranking
    with_surroundings: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, as it is understood; `meaning` is None where words alone are compared."""

    question: Question
    meaning: Meaning | None

    def rarest(self, frequencies: Frequencies, most: int) -> Sequence[str]:
        """Name the words that tell most, the weightiest first, as they were spelt."""
        counts, shown = self.question.counts, self.question.shown
        told = sorted(counts, key=lambda lexeme: -counts[lexeme] * frequencies.rarity(lexeme))
        return [shown[lexeme] for lexeme in told[:most]]


@dataclass(frozen=True, slots=True)
class _Scored:
    candidate: Candidate
    lexical: float
    score: float
    place: float
    """Orders also those whose score is 0."""
    boost: str | None


async def understood(questions: Questions, search: Search) -> Asked:
    """Before any transaction, which would wait along."""
    description = own_words(search.description)
    by_meaning = search.ranking.meaning_share > 0
    meaning = await questions.meaning(f"{search.subject}\n{description}") if by_meaning else None
    telemetry.count_question(by_meaning=meaning is not None)
    return Asked(read(search.subject, description), meaning)


async def find_answers(articles: TenantArticles, asked: Asked, search: Search) -> list[Answer]:
    """Best first, at most one passage an article; empty when nothing reaches the floor."""
    async with articles.searching() as index:
        planned = plan(asked.question, await index.frequencies(asked.question.lexemes))
        with span(telemetry.CANDIDATES_SPAN):
            candidates = await _candidates(index, planned, asked.meaning, search)
        standings = await index.standings([each.key.article for each in candidates], planned)
        best = _best(candidates, planned, standings, search)
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
            boosts=(each.boost,) if each.boost else (),
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
    enough = max(search.limit, _CANDIDATES_LEAST)
    if meaning is not None:
        weights = search.ranking.weights
        candidates = await index.candidates_by_meaning(planned, meaning, weights=weights, limit=enough)
        if comparable(candidates):
            return candidates
    return await index.candidates(planned, limit=enough) if planned.seeds else []


def _best(
    candidates: Sequence[Candidate],
    planned: Plan,
    standings: Mapping[ArticleKey, Standing],
    search: Search,
) -> list[_Scored]:
    weights = search.ranking.weights
    scored = [
        _scored(each, planned, standings.get(each.key.article, UNRATED), weights) for each in candidates
    ]
    relevant = [each for each in scored if each.score >= search.ranking.floor]
    relevant.sort(key=lambda each: -each.place)
    return relevant[: search.limit]


def _scored(candidate: Candidate, planned: Plan, standing: Standing, weights: Weights) -> _Scored:
    lexical = planned.score(candidate.summed)
    place = relevance(lexical, candidate.cosine, weights)
    score = max(0.0, place) * standing.factor
    return _Scored(candidate, lexical, score=min(1.0, score), place=score or place, boost=standing.boost)
