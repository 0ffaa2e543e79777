"""Asks every context source at once, each within its deadline. One that fails is a line in the brief."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from dossier.context.v1.context_source_service_pb2 import GatherRequest
from dossier.context.v1.evidence_pb2 import (
    EVIDENCE_KIND_ASSET,
    SOURCE_STATE_ANSWERED,
    SOURCE_STATE_FAILED,
    SOURCE_STATE_TIMED_OUT,
    SOURCE_STATE_UNAVAILABLE,
    Evidence,
    SourceReport,
    SourceState,
)
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.history.v1.history_service_pb2 import SearchSimilarTicketsRequest, TicketReference
from dossier.knowledge.v1.knowledge_service_pb2 import SearchArticlesRequest
from dossier.network.v1.network_service_pb2 import LookupMentionsRequest
from dossier.tenants.v1.tenant_pb2 import ContextSource
from services.orchestrator import evidence as pieces
from services.orchestrator.model import StepEnd, StepState
from services.orchestrator.organisation import organisation_of
from services.orchestrator.peers import Kind, PeerFailure, Peers
from services.orchestrator.tickets import searchable

BUILT_IN: Final = ("history", "knowledge", "network")
# How long history waits to learn which assets the ticket names: looking them up takes milliseconds, and
# where it does not, similar tickets are found by their text alone.
_HEAD_START_SECONDS: Final = 0.25
_RESULTS: Final = 5
_ASSETS: Final = 64
# Of the best articles the causes and steps are wanted too.
_READ_ARTICLES: Final = 2
_DEFAULT_SECONDS: Final = 5.0
_STATES: Final[Mapping[Kind, "SourceState.ValueType"]] = {
    "timed_out": SOURCE_STATE_TIMED_OUT,
    "unavailable": SOURCE_STATE_UNAVAILABLE,
    "failed": SOURCE_STATE_FAILED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of asking one source, and of those that it asked in turn."""

    report: SourceReport
    evidence: Sequence[Evidence]
    start_time: datetime
    in_turn: Sequence[SourceReport] = ()

    @property
    def reports(self) -> Sequence[SourceReport]:
        return (self.report, *self.in_turn)

    @property
    def steps(self) -> Sequence[StepEnd]:
        # The passages of an article are one thing.
        things = len({each.id.partition("#")[0] for each in self.evidence})
        return (
            self._step(self.report, found=things),
            *(self._step(each, found=each.evidence_count) for each in self.in_turn),
        )

    def _step(self, report: SourceReport, *, found: int) -> StepEnd:
        answered = report.state == SOURCE_STATE_ANSWERED
        return StepEnd(
            name=report.source,
            state=StepState.SUCCEEDED if answered else StepState.FAILED,
            duration_seconds=report.duration.ToTimedelta().total_seconds(),
            detail=f"{found} found" if answered else report.detail,
            start_time=self.start_time,
            report=report,
        )


def asking(
    peers: Peers, ticket: Ticket, sources: Sequence[ContextSource]
) -> Mapping[str, asyncio.Task[Answer]]:
    """Begin to ask all; the tasks, by the sources' names, never fail."""
    network = asyncio.create_task(_ask("network", lambda: _network(peers, ticket)))
    asked = {
        "history": asyncio.create_task(_after_network(peers, ticket, network)),
        "knowledge": asyncio.create_task(_ask_knowledge(peers, ticket)),
        "network": network,
    }
    for source in sources:
        asked[source.name] = asyncio.create_task(_ask_source(peers, ticket, source))
    return asked


async def _ask(name: str, find: Callable[[], Awaitable[Sequence[Evidence]]]) -> Answer:
    start_time, started = datetime.now(UTC), time.perf_counter()
    report = SourceReport(source=name, state=SOURCE_STATE_ANSWERED)
    evidence: Sequence[Evidence] = ()
    try:
        evidence = await find()
    except PeerFailure as failure:
        report.state, report.detail = _STATES[failure.kind], failure.detail
    report.evidence_count = len(evidence)
    report.duration.FromNanoseconds(round((time.perf_counter() - started) * 1e9))
    return Answer(report, evidence, start_time)


async def _after_network(peers: Peers, ticket: Ticket, network: asyncio.Task[Answer]) -> Answer:
    await asyncio.wait({network}, timeout=_HEAD_START_SECONDS)
    known = network.result().evidence if network.done() else ()
    assets = [each.id.removeprefix("network:") for each in known if each.kind == EVIDENCE_KIND_ASSET]
    return await _ask("history", lambda: _history(peers, ticket, assets[:_ASSETS]))


async def _ask_knowledge(peers: Peers, ticket: Ticket) -> Answer:
    subject, description = searchable(ticket)
    request = SearchArticlesRequest(
        subject=subject, description=description, limit=_RESULTS, with_surroundings=True
    )
    knowledge_bases: list[SourceReport] = []

    async def find() -> Sequence[Evidence]:
        response = await peers.articles(request)
        knowledge_bases.extend(response.knowledge_bases)
        read = response.results[:_READ_ARTICLES]
        return [
            *map(pieces.of_passage, response.results),
            *chain.from_iterable(map(pieces.around, read)),
        ]

    return replace(await _ask("knowledge", find), in_turn=knowledge_bases)


async def _ask_source(peers: Peers, ticket: Ticket, source: ContextSource) -> Answer:
    async def find() -> Sequence[Evidence]:
        response = await peers.observations(
            GatherRequest(ticket=ticket, limit=_RESULTS),
            name=source.name,
            target=source.target,
            seconds=source.deadline_ms / 1000 or _DEFAULT_SECONDS,
        )
        return [pieces.of_observation(each, source=source.name) for each in response.evidence[:_RESULTS]]

    return await _ask(source.name, find)


async def _history(peers: Peers, ticket: Ticket, assets: Sequence[str]) -> Sequence[Evidence]:
    subject, description = searchable(ticket)
    request = SearchSimilarTicketsRequest(
        subject=subject,
        description=description,
        assets=assets,
        exclude=[TicketReference(id=ticket.id, source=ticket.tool)],
        limit=_RESULTS,
        site=ticket.site,
        organisation=organisation_of(ticket),
    )
    return [pieces.of_ticket(found) for found in (await peers.similar_tickets(request)).results]


async def _network(peers: Peers, ticket: Ticket) -> Sequence[Evidence]:
    text = "\n".join(searchable(ticket))[:1_048_576]
    findings = (await peers.mentions(LookupMentionsRequest(text=text, limit=20))).findings
    return pieces.distinct(each for finding in findings for each in pieces.of_mention(finding))[
        : 2 * _RESULTS
    ]
