"""The queries that went worst, by the titles of what was asked, expected and found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from cli.evaluating.asking import Kind
from cli.evaluating.judgements import Query
from cli.evaluating.shown import Evaluated
from cli.instance import Instance
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub

_SHOWN: Final = 15
_OF_EACH: Final = 3
_BY: Final = "ndcg_at_10"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Titled:
    document: str
    title: str
    """Empty where it is not there."""
    score: float | None
    """None where it was not found."""
    is_right: bool


@dataclass(frozen=True, slots=True)
class Worst:
    query: str
    title: str
    value: float
    expected: Sequence[Titled]
    found: Sequence[Titled]


class _Titles(Protocol):
    async def of(self, document: str) -> str: ...


async def worst_of(done: Evaluated, instance: Instance) -> Sequence[Worst]:
    values = done.judged.values[_BY]
    worst = sorted(done.queries, key=lambda query: (values[query.id], query.id))[:_SHOWN]
    service, descriptor = {
        Kind.TICKETS: ("history", history.DESCRIPTOR.services_by_name["HistoryService"]),
        Kind.ARTICLES: ("knowledge", knowledge.DESCRIPTOR.services_by_name["KnowledgeService"]),
    }[done.kind]
    async with calling(instance, service, descriptors=[descriptor], tenant=done.client) as channel:
        titles: _Titles = (
            _Tickets(channel, has_sources=done.own is not None)
            if done.kind is Kind.TICKETS
            else _Articles(channel)
        )
        return [await _worst(query, done, titles) for query in worst if values[query.id] < 1]


async def _worst(query: Query, done: Evaluated, titles: _Titles) -> Worst:
    results = done.judged.asked.found[query.id]
    scores = {each.document: each.score for each in results}
    right = done.relevant[query.id]

    async def titled(document: str) -> Titled:
        title = await titles.of(document)
        return Titled(document, title[:_LONGEST], scores.get(document), is_right=document in right)

    # The best of them first: by how relevant, then by where they were found.
    expected = sorted(right, key=lambda document: (-right[document], -scores.get(document, 0), document))
    return Worst(
        query=query.id,
        title=(await titles.of(query.id) if query.is_document else query.subject or query.description)[
            :_LONGEST
        ],
        value=done.judged.values[_BY][query.id],
        expected=[await titled(document) for document in expected[:_OF_EACH]],
        found=[await titled(each.document) for each in results[:_OF_EACH]],
    )


class _Tickets:
    def __init__(self, channel: grpc.aio.Channel, *, has_sources: bool) -> None:
        self._history = HistoryServiceStub(channel)
        self._has_sources = has_sources

    async def of(self, document: str) -> str:
        source, ticket_id = document.split("/", 1) if self._has_sources else ("", document)
        request = history.GetTicketRequest(ticket_id=ticket_id, source=source)
        try:
            return (await self._history.GetTicket(request)).ticket.title
        except grpc.aio.AioRpcError as failure:
            return _absent(failure)


class _Articles:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._knowledge = KnowledgeServiceStub(channel)

    async def of(self, document: str) -> str:
        request = knowledge.GetArticleRequest(article_id=document)
        try:
            return (await self._knowledge.GetArticle(request)).article.title
        except grpc.aio.AioRpcError as failure:
            return _absent(failure)


def _absent(failure: grpc.aio.AioRpcError) -> str:
    """Judgements may name what was never imported, or what no id can be."""
    if failure.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
        return ""
    raise failure
