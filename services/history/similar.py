"""Finds the past tickets most like a new one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from embedding.questions import Meaning, Questions
from retrieval.questions import Plan, plan, read
from retrieval.relevance import Ranking
from services.history import telemetry
from services.history.model import (
    Candidate,
    Ranked,
    Similar,
    TicketReference,
    comparable,
    least_lexical,
    ranked,
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
    assets: Collection[str]
    exclude: Sequence[TicketReference]
    limit: int
    ranking: Ranking


async def find_similar(tickets: TenantTickets, questions: Questions, search: Search) -> list[Similar]:
    """Best first; empty when nothing reaches the floor."""
    question = read(search.subject, search.description)
    # Before the transaction, which would wait along.
    by_meaning = search.ranking.meaning_share > 0
    meaning = await questions.meaning(text_of(search.subject, search.description)) if by_meaning else None
    telemetry.count_question(by_meaning=meaning is not None)
    async with tickets.searching() as index:
        planned = plan(question, await index.frequencies(question.lexemes))
        with span(telemetry.CANDIDATES_SPAN):
            candidates = await _candidates(index, planned, meaning, search)
        results = _best(candidates, planned, search)
        details = await index.details([result.key for result in results], planned.weights.keys())
    return [
        Similar(ticket, result, planned.matched(lexemes))
        for result in results
        # One deleted since is no longer evidence.
        if result.key in details
        for ticket, lexemes in [details[result.key]]
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


def _best(candidates: Sequence[Candidate], planned: Plan, search: Search) -> list[Ranked]:
    assets, weights = {asset.casefold() for asset in search.assets}, search.ranking.weights
    results = [
        ranked(candidate, lexical=planned.score(candidate.summed), assets=assets, weights=weights)
        for candidate in candidates
        if not any(reference.names(candidate.key) for reference in search.exclude)
    ]
    results = [result for result in results if result.score >= search.ranking.floor]
    results.sort(key=lambda result: -result.place)
    return results[: search.limit]
