"""Finds the past tickets most like a new one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.questions import plan, read
from services.history import telemetry
from services.history.model import RELEVANCE_FLOOR, Similar, TicketReference, ranked
from services.history.store import TenantTickets
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
    planned = plan(question, await tickets.frequencies(question.lexemes))
    if planned is None:
        return []
    with span(telemetry.CANDIDATES_SPAN):
        candidates = await tickets.candidates(planned, limit=_CANDIDATES + len(search.exclude))
    assets = {asset.casefold() for asset in search.assets}
    results = [
        ranked(candidate, lexical=planned.score(candidate.summed), assets=assets)
        for candidate in candidates
        if not any(reference.names(candidate.key) for reference in search.exclude)
    ]
    results = [result for result in results if result.score >= search.min_score]
    results.sort(key=lambda result: -result.score)
    results = results[: search.limit]
    details = await tickets.details([result.key for result in results], planned.weights.keys())
    return [
        Similar(ticket, result, planned.matched(lexemes))
        for result in results
        # One deleted since is no longer evidence.
        if result.key in details
        for ticket, lexemes in [details[result.key]]
    ]
