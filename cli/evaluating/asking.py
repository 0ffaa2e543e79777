"""Asks the running service every query, as the orchestrator asks it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import grpc

from cli.evaluating.judgements import Query
from cli.evaluating.own import OwnTicket, is_older, own_ticket
from cli.instance import Instance
from cli.paging import pages
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub

DEEP: Final = 100
"""As far as recall is measured."""
_AT_ONCE: Final = 4
_PAGE: Final = 200
_SUBJECT: Final = 4096
_MOST_EXCLUDED: Final = 100


class Kind(StrEnum):
    TICKETS = "tickets"
    ARTICLES = "articles"


@dataclass(frozen=True, slots=True)
class Found:
    document: str
    score: float


class _Searched(Protocol):
    async def search(self, query: Query) -> Sequence[Found] | None:
        """None where it cannot be told, for all that is found is held out."""


Answers = Mapping[str, Sequence[Found]]
"""Query → what was found, the best first. One for which it cannot be told is not there."""


async def answers(
    instance: Instance,
    kind: Kind,
    queries: Sequence[Query],
    *,
    tenant: str,
    meaning_share: float,
    advance: Callable[[int], None],
) -> Answers:
    """Ask every query without a floor, so that order alone is measured."""
    service, descriptor = {
        Kind.TICKETS: ("history", history.DESCRIPTOR.services_by_name["HistoryService"]),
        Kind.ARTICLES: ("knowledge", knowledge.DESCRIPTOR.services_by_name["KnowledgeService"]),
    }[kind]
    places = asyncio.Semaphore(_AT_ONCE)
    async with calling(instance, service, descriptors=[descriptor], tenant=tenant) as channel:
        searched: _Searched = (_Tickets if kind is Kind.TICKETS else _Articles)(channel, meaning_share)

        async def ask(query: Query) -> tuple[str, Sequence[Found] | None]:
            async with places:
                found = await searched.search(query)
            advance(1)
            return query.id, found

        asked = await asyncio.gather(*map(ask, queries))
        return {query: found for query, found in asked if found is not None}


async def own_tickets(
    instance: Instance, *, tenant: str, advance: Callable[[int], None]
) -> Sequence[OwnTicket]:
    """Read all the client's past tickets, of which little is kept."""
    read: list[OwnTicket] = []
    service = history.DESCRIPTOR.services_by_name["HistoryService"]
    async with calling(instance, "history", descriptors=[service], tenant=tenant) as channel:
        request = history.ListTicketsRequest(page_size=_PAGE)
        async for page in pages(HistoryServiceStub(channel).ListTickets, request):
            read.extend(map(own_ticket, page.tickets))
            advance(len(page.tickets))
    return read


class _Tickets:
    def __init__(self, channel: grpc.aio.Channel, meaning_share: float) -> None:
        self._history = HistoryServiceStub(channel)
        self._meaning_share = meaning_share

    async def search(self, query: Query) -> Sequence[Found] | None:
        asked = PastTicket(title=query.subject, description=query.description)
        itself: list[history.TicketReference] = []
        if query.is_document:
            source, ticket_id = query.ticket or ("", query.id)
            request = history.GetTicketRequest(ticket_id=ticket_id, source=source)
            asked = (await self._history.GetTicket(request)).ticket
            itself = [history.TicketReference(id=ticket_id, source=source)]
        results = await self._results(asked, itself)
        if query.ticket is None:
            return [Found(each.ticket.id, each.score) for each in results]
        found = _there(results, asked, query)
        if found or not query.held_out or len(results) < DEEP:
            return found
        # What is nearest is all held out: only what is beyond it tells whether something would be found.
        beyond = [history.TicketReference(id=each.ticket.id, source=each.ticket.source) for each in results]
        results = await self._results(asked, [*itself, *beyond][:_MOST_EXCLUDED])
        found = _there(results, asked, query)
        return found if found or len(results) < DEEP else None

    async def _results(
        self, asked: PastTicket, exclude: Sequence[history.TicketReference]
    ) -> Sequence[history.SimilarTicket]:
        answer = await self._history.SearchSimilarTickets(
            history.SearchSimilarTicketsRequest(
                subject=asked.title[:_SUBJECT],
                description=asked.description,
                exclude=exclude,
                limit=DEEP,
                min_score=0,
                meaning_share=self._meaning_share,
                # Judgements are of documents, each by itself.
                ungrouped=True,
            )
        )
        return answer.results


def _there(results: Sequence[history.SimilarTicket], asked: PastTicket, query: Query) -> Sequence[Found]:
    """What was there already when it was asked, and is not held out."""
    found = ((own_ticket(each.ticket), each.score) for each in results)
    return [
        Found(ticket.name, score)
        for ticket, score in found
        if is_older(ticket, own_ticket(asked)) and ticket.name not in query.held_out
    ]


class _Articles:
    def __init__(self, channel: grpc.aio.Channel, meaning_share: float) -> None:
        self._knowledge = KnowledgeServiceStub(channel)
        self._meaning_share = meaning_share

    async def search(self, query: Query) -> Sequence[Found]:
        subject, description = query.subject, query.description
        if query.is_document:
            asked = knowledge.GetArticleRequest(article_id=query.id)
            article = (await self._knowledge.GetArticle(asked)).article
            subject, description = article.title, article.body
        answer = await self._knowledge.SearchArticles(
            knowledge.SearchArticlesRequest(
                subject=subject[:_SUBJECT],
                description=description,
                limit=DEEP,
                min_score=0,
                meaning_share=self._meaning_share,
            )
        )
        found = [Found(each.article.id, each.score) for each in answer.results]
        return [each for each in found if not (query.is_document and each.document == query.id)]
