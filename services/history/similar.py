"""Finds the past tickets most like a new one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.questions import Plan, plan, read
from services.history import telemetry
from services.history.model import RELEVANCE_FLOOR, Ranked, Similar, TicketReference, least_lexical, ranked
from services.history.store import Searching, TenantTickets
from services.runtime.telemetry import span

# Those that boosts may still lift into the answer.
_CANDIDATES: Final = 100


@dataclass(frozen=True, slots=True)
class Search:
    subject: str
    description: str
    assets: Collection[str]
    exclude: Sequence[TicketReference]
    limit: int
    min_score: float = RELEVANCE_FLOOR


async def find_similar(tickets: TenantTickets, search: Search) -> list[Similar]:
    """Best first; empty when nothing reaches the floor."""
    question = read(search.subject, search.description)
    if not question.lexemes:
        return []
    async with tickets.searching() as index:
        planned = plan(question, await index.frequencies(question.lexemes))
        if planned is None:
            return []
        results = await _best(index, planned, search)
        if not results:
            return []
        details = await index.details([result.key for result in results], planned.weights.keys())
    return [
        Similar(ticket, result, planned.matched(lexemes))
        for result in results
        # One deleted since is no longer evidence.
        if result.key in details
        for ticket, lexemes in [details[result.key]]
    ]


async def _best(index: Searching, planned: Plan, search: Search) -> list[Ranked]:
    with span(telemetry.CANDIDATES_SPAN):
        candidates = await index.candidates(
            planned,
            least=planned.sum_of(least_lexical(search.min_score)),
            limit=_CANDIDATES + len(search.exclude),
        )
    assets = {asset.casefold() for asset in search.assets}
    results = [
        ranked(candidate, lexical=planned.score(candidate.summed), assets=assets)
        for candidate in candidates
        if not any(reference.names(candidate.key) for reference in search.exclude)
    ]
    results = [result for result in results if result.score >= search.min_score]
    results.sort(key=lambda result: -result.score)
    return results[: search.limit]
