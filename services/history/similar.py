"""Finds the past tickets most like a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from embedding.questions import Meaning, Questions
from retrieval.mail import own_words
from retrieval.questions import Plan, plan, read
from retrieval.ratings import UNRATED, Standing
from retrieval.relevance import Ranking, relevance
from services.history import telemetry
from services.history.boosts import Circumstances, boosts, least_lexical
from services.history.incidents import LOOKED_AT, Incident, incidents, suspects
from services.history.model import (
    Candidate,
    Ranked,
    Similar,
    TicketKey,
    TicketReference,
    comparable,
    text_of,
)
from services.history.store import Searching, TenantTickets
from services.runtime.telemetry import span

# By words, and as many by meaning: those that boosts may still lift into the answer.
_CANDIDATES: Final = 100


@dataclass(frozen=True, slots=True)
class Search:
    subject: str
    description: str
    circumstances: Circumstances
    exclude: Sequence[TicketReference]
    limit: int
    ranking: Ranking
    grouped: bool = True


async def find_similar(tickets: TenantTickets, questions: Questions, search: Search) -> list[Similar]:
    """Best first; empty when nothing reaches the floor."""
    description = own_words(search.description)
    question = read(search.subject, description)
    # Before the transaction, which would wait along.
    by_meaning = search.ranking.meaning_share > 0
    meaning = await questions.meaning(text_of(search.subject, description)) if by_meaning else None
    telemetry.count_question(by_meaning=meaning is not None)
    async with tickets.searching() as index:
        planned = plan(question, await index.frequencies(question.lexemes))
        with span(telemetry.CANDIDATES_SPAN):
            candidates = await _candidates(index, planned, meaning, search)
        standings = await index.standings([each.key for each in candidates], planned)
        relevant = _relevant(candidates, planned, standings, search)
        results = await _results(index, relevant, meaning, search)
        details = await index.details([result.shown.key for result in results], planned.weights.keys())
    return [
        Similar(ticket, result.shown, planned.matched(lexemes), result.others)
        for result in results
        # One deleted since is no longer evidence.
        if result.shown.key in details
        for ticket, lexemes in [details[result.shown.key]]
    ]


async def _candidates(
    index: Searching, planned: Plan, meaning: Meaning | None, search: Search
) -> Sequence[Candidate]:
    limit = _CANDIDATES + len(search.exclude)
    if meaning is not None:
        return comparable(await index.candidates_by_meaning(planned, meaning, limit=limit))
    if not planned.seeds:
        return []
    least = planned.sum_of(least_lexical(search.ranking.floor))
    return await index.candidates(planned, least=least, limit=limit)


def _relevant(
    candidates: Sequence[Candidate], planned: Plan, standings: Mapping[TicketKey, Standing], search: Search
) -> list[Ranked]:
    """Those that reach the floor, best first."""
    results = [
        _ranked(candidate, planned, standings.get(candidate.key, UNRATED), search)
        for candidate in candidates
        if not any(reference.names(candidate.key) for reference in search.exclude)
    ]
    return sorted(
        (result for result in results if result.score >= search.ranking.floor),
        key=lambda result: result.order,
    )


def _ranked(candidate: Candidate, planned: Plan, standing: Standing, search: Search) -> Ranked:
    lexical = planned.score(candidate.summed)
    place = relevance(lexical, candidate.cosine, search.ranking.weights)
    boosted = boosts(candidate, search.circumstances, standing)
    score = max(0.0, place) * boosted.factor
    return Ranked(
        candidate, score=min(1.0, score), place=score or place, lexical=lexical, boosts=boosted.names
    )


async def _results(
    index: Searching, relevant: Sequence[Ranked], meaning: Meaning | None, search: Search
) -> Sequence[Incident]:
    if not search.grouped:
        return [Incident(each) for each in relevant[: search.limit]]
    looked_at = relevant[:LOOKED_AT]
    alike = await index.likenesses(suspects(looked_at), model=meaning.model if meaning is not None else "")
    return incidents(looked_at, alike, limit=search.limit)
