"""Asks the running service every query, as the orchestrator asks it."""

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import grpc

from cli.evaluating.judgements import Query
from cli.evaluating.measures import Rankings
from cli.instance import Instance
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub

DEEP: Final = 100
"""As far as recall is measured."""
_AT_ONCE: Final = 4
_SUBJECT: Final = 4096


class Kind(StrEnum):
    TICKETS = "tickets"
    ARTICLES = "articles"


class _Searched(Protocol):
    async def search(self, query: Query) -> Sequence[str]: ...


async def ranked(
    instance: Instance, kind: Kind, queries: Sequence[Query], *, tenant: str, advance: Callable[[int], None]
) -> Rankings:
    """Every query's documents without a floor, so that order alone is measured."""
    service, descriptor = {
        Kind.TICKETS: ("history", history.DESCRIPTOR.services_by_name["HistoryService"]),
        Kind.ARTICLES: ("knowledge", knowledge.DESCRIPTOR.services_by_name["KnowledgeService"]),
    }[kind]
    places = asyncio.Semaphore(_AT_ONCE)
    async with calling(instance, service, descriptors=[descriptor], tenant=tenant) as channel:
        searched: _Searched = _Tickets(channel) if kind is Kind.TICKETS else _Articles(channel)

        async def ask(query: Query) -> tuple[str, Sequence[str]]:
            async with places:
                found = await searched.search(query)
            advance(1)
            return query.id, found

        return dict(await asyncio.gather(*map(ask, queries)))


class _Tickets:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._history = HistoryServiceStub(channel)

    async def search(self, query: Query) -> Sequence[str]:
        subject, description = query.subject, query.description
        if query.is_document:
            ticket = (await self._history.GetTicket(history.GetTicketRequest(ticket_id=query.id))).ticket
            subject, description = ticket.title, ticket.description
        request = history.SearchSimilarTicketsRequest(
            subject=subject[:_SUBJECT],
            description=description,
            exclude=[history.TicketReference(id=query.id)] if query.is_document else [],
            limit=DEEP,
            min_score=0,
        )
        answer = await self._history.SearchSimilarTickets(request)
        return [each.ticket.id for each in answer.results]


class _Articles:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._knowledge = KnowledgeServiceStub(channel)

    async def search(self, query: Query) -> Sequence[str]:
        subject, description = query.subject, query.description
        if query.is_document:
            asked = knowledge.GetArticleRequest(article_id=query.id)
            article = (await self._knowledge.GetArticle(asked)).article
            subject, description = article.title, article.body
        request = knowledge.SearchArticlesRequest(
            subject=subject[:_SUBJECT], description=description, limit=DEEP, min_score=0
        )
        answer = await self._knowledge.SearchArticles(request)
        found = [each.article.id for each in answer.results]
        return [each for each in found if not (query.is_document and each == query.id)]
