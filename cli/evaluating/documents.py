"""Looks single documents up: which of those that somebody judged are there, and what they are called."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import grpc

from cli.evaluating.asking import Kind
from cli.instance import Instance
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub

_AT_ONCE: Final = 4
# Judgements may name what was never imported, or what no id can be.
_ABSENT: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT})


class Documents(Protocol):
    async def title_of(self, document: str) -> str | None:
        """None where there is no such document."""


@asynccontextmanager
async def documents_of(
    instance: Instance, kind: Kind, *, tenant: str, has_sources: bool = False
) -> AsyncIterator[Documents]:
    """`has_sources`: a ticket is named by its source as well, as the client's own are."""
    service, descriptor = {
        Kind.TICKETS: ("history", history.DESCRIPTOR.services_by_name["HistoryService"]),
        Kind.ARTICLES: ("knowledge", knowledge.DESCRIPTOR.services_by_name["KnowledgeService"]),
    }[kind]
    async with calling(instance, service, descriptors=[descriptor], tenant=tenant) as channel:
        yield _Tickets(channel, has_sources=has_sources) if kind is Kind.TICKETS else _Articles(channel)


async def absent_of(
    instance: Instance, kind: Kind, names: Iterable[str], *, tenant: str, advance: Callable[[int], None]
) -> frozenset[str]:
    """Those that the client does not have."""
    places = asyncio.Semaphore(_AT_ONCE)
    async with documents_of(instance, kind, tenant=tenant) as documents:

        async def is_absent(name: str) -> tuple[str, bool]:
            async with places:
                title = await documents.title_of(name)
            advance(1)
            return name, title is None

        looked_up = await asyncio.gather(*map(is_absent, names))
    return frozenset(name for name, is_gone in looked_up if is_gone)


class _Tickets:
    def __init__(self, channel: grpc.aio.Channel, *, has_sources: bool) -> None:
        self._history = HistoryServiceStub(channel)
        self._has_sources = has_sources

    async def title_of(self, document: str) -> str | None:
        source, ticket_id = document.split("/", 1) if self._has_sources else ("", document)
        request = history.GetTicketRequest(ticket_id=ticket_id, source=source)
        try:
            return (await self._history.GetTicket(request)).ticket.title
        except grpc.aio.AioRpcError as failure:
            if failure.code() not in _ABSENT:
                raise
            return None


class _Articles:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._knowledge = KnowledgeServiceStub(channel)

    async def title_of(self, document: str) -> str | None:
        request = knowledge.GetArticleRequest(article_id=document)
        try:
            return (await self._knowledge.GetArticle(request)).article.title
        except grpc.aio.AioRpcError as failure:
            if failure.code() not in _ABSENT:
                raise
            return None
