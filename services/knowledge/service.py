from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import grpc

from audit.event import current_actor
from audit.imports import ImportEvent, Origin
from audit.relay import Relay
from converting.worker import Worker
from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1 import knowledge_service_pb2_grpc as pb_grpc
from egress.session import GuardedSessions
from embedding.backfill import Backfill
from embedding.questions import Questions
from knowledgebases.discovery import load_connectors
from knowledgebases.session import knowledge_base_session
from retrieval.relevance import OF_ARTICLES
from services.knowledge import telemetry, wire, wire_bases
from services.knowledge.bases import Bases
from services.knowledge.cache import Cache
from services.knowledge.elsewhere import Elsewhere
from services.knowledge.errors import ArticleNotFound
from services.knowledge.everywhere import find_everywhere
from services.knowledge.ingest import keep, record
from services.knowledge.knowledge_base_service import KnowledgeBaseServicer
from services.knowledge.pages import Pages
from services.knowledge.peers import TenantsPeer
from services.knowledge.ratings import rate
from services.knowledge.settings import KnowledgeSettings
from services.knowledge.store import AUDIT, TenantArticles
from services.knowledge.syncing import Syncing
from services.knowledge.syncs import Syncs
from services.knowledge.tenant_data import tenant_rows
from services.knowledge.turns import Turns
from services.knowledge.vectors import Vectors
from services.runtime.caller import current_tenant
from services.runtime.database import Database
from services.runtime.importing import take_in
from services.runtime.paging import PageTokens
from services.runtime.redis import OptionalRedis
from services.runtime.serve import Service
from tenantdata.servicer import serving_rows
from tuning.copies import open_tenants
from tuning.rankings import Rankings

_REQUEST_SECONDS: Final = 30.0
"""For one request to a knowledge base; a search waits less."""
# Somebody waits for it, and behind a slow page those of other clients.
_SEARCHED_PAGE_SECONDS: Final = 2.5
_SEARCHED_PAGE_MEMORY_BYTES: Final = 512 << 20


class KnowledgeServicer(KnowledgeBaseServicer):
    def __init__(
        self,
        database: Database,
        questions: Questions,
        rankings: Rankings,
        bases: Bases,
        *,
        syncs: Syncs,
        elsewhere: Elsewhere,
    ) -> None:
        super().__init__(bases, syncs)
        self._elsewhere = elsewhere
        self._database = database
        self._questions = questions
        self._rankings = rankings

    async def SearchArticles(
        self,
        request: pb.SearchArticlesRequest,
        context: grpc.aio.ServicerContext[pb.SearchArticlesRequest, pb.SearchArticlesResponse],
    ) -> pb.SearchArticlesResponse:
        search = wire.search_from(request, self._rankings.of(current_tenant()))
        found, heard = await find_everywhere(self._articles(), self._elsewhere, self._questions, search)
        telemetry.count_search(len(found))
        return pb.SearchArticlesResponse(
            results=map(wire.write_answer, found), knowledge_bases=map(wire_bases.write_heard, heard)
        )

    async def GetArticle(
        self,
        request: pb.GetArticleRequest,
        context: grpc.aio.ServicerContext[pb.GetArticleRequest, pb.GetArticleResponse],
    ) -> pb.GetArticleResponse:
        reference = wire.reference_to(request.article_id, request.source)
        article = await self._articles().find(reference)
        if article is None:
            raise ArticleNotFound(reference.id)
        return pb.GetArticleResponse(article=wire.write_article(article))

    async def ListArticles(
        self,
        request: pb.ListArticlesRequest,
        context: grpc.aio.ServicerContext[pb.ListArticlesRequest, pb.ListArticlesResponse],
    ) -> pb.ListArticlesResponse:
        tokens = PageTokens("ListArticles", current_tenant())
        articles, end = await self._articles().page(
            after=wire.place_from(tokens, request.page_token), size=wire.page_size(request)
        )
        return pb.ListArticlesResponse(
            articles=map(wire.write_article, articles), next_page_token=wire.token_to(tokens, end)
        )

    async def RecordArticle(
        self,
        request: pb.RecordArticleRequest,
        context: grpc.aio.ServicerContext[pb.RecordArticleRequest, pb.RecordArticleResponse],
    ) -> pb.RecordArticleResponse:
        article = wire.recorded_from(request)
        created = await record(self._articles(), article, by=current_actor())
        return pb.RecordArticleResponse(article=wire.write_article(article), created=created)

    async def ImportArticles(
        self,
        request_iterator: AsyncIterator[pb.ImportArticlesRequest],
        context: grpc.aio.ServicerContext[pb.ImportArticlesRequest, pb.ImportArticlesResponse],
    ) -> pb.ImportArticlesResponse:
        batches = wire.batches_from(request_iterator)
        event = ImportEvent(AUDIT, Origin(current_tenant(), current_actor(), "ImportArticles", "articles"))
        report = await take_in(batches, partial(keep, self._articles(), event))
        await event.end(self._database, report)
        telemetry.count_rows(report)
        return wire.write_report(report)

    async def DeleteArticle(
        self,
        request: pb.DeleteArticleRequest,
        context: grpc.aio.ServicerContext[pb.DeleteArticleRequest, pb.DeleteArticleResponse],
    ) -> pb.DeleteArticleResponse:
        reference = wire.reference_to(request.article_id, request.source)
        if not await self._articles().delete(reference, by=current_actor()):
            raise ArticleNotFound(reference.id)
        return pb.DeleteArticleResponse()

    async def RateArticle(
        self,
        request: pb.RateArticleRequest,
        context: grpc.aio.ServicerContext[pb.RateArticleRequest, pb.RateArticleResponse],
    ) -> pb.RateArticleResponse:
        applied = await rate(self._database, current_tenant(), wire.rating_from(request))
        return pb.RateArticleResponse(applied=applied)

    def _articles(self) -> TenantArticles:
        return TenantArticles(self._database, current_tenant(), embedded=self._questions.embedded)


async def build(settings: KnowledgeSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_knowledge",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
        planned_anew=True,
    )
    closers.push_async_callback(database.close)
    embedder = settings.embedder()
    closers.push_async_callback(embedder.close)
    rankings = Rankings.open(
        "knowledge", settings, closers, usual=OF_ARTICLES, part=lambda settings: settings.articles
    )
    questions = Questions(embedder)
    bases = _open_bases(settings, closers)
    synced = Pages(closers.enter_context(Worker()))
    searched = Pages(
        closers.enter_context(
            Worker(processes=2, seconds=_SEARCHED_PAGE_SECONDS, memory_bytes=_SEARCHED_PAGE_MEMORY_BYTES)
        )
    )
    cache = _open_cache(settings, closers)
    syncs = Syncs(database, AUDIT)
    syncing = Syncing(database, syncs, bases, synced, embedded=questions.embedded)
    servicer = KnowledgeServicer(
        database,
        questions,
        rankings,
        bases,
        syncs=syncs,
        elsewhere=Elsewhere(bases, cache, searched, questions),
    )
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["KnowledgeService"],
                lambda server: pb_grpc.add_KnowledgeServiceServicer_to_server(servicer, server),
            ),
            serving_rows(tenant_rows(database)),
        ],
        checks={"postgresql": database.check},
        background=[
            rankings.follow,
            bases.follow,
            Turns(syncs, bases, syncing).run,
            Relay.open("knowledge", database, settings, closers).run,
            *Backfill(Vectors(database), embedder, telemetry.EMBEDDING).jobs,
        ],
    )


def _open_bases(settings: KnowledgeSettings, closers: AsyncExitStack) -> Bases:
    sessions = GuardedSessions(
        settings.permitted_networks, lambda guard: knowledge_base_session(guard, _REQUEST_SECONDS)
    )
    closers.push_async_callback(sessions.close)
    peer = TenantsPeer(open_tenants("knowledge", settings, closers), settings.tenants_seconds)
    return Bases(peer, load_connectors(), sessions)


def _open_cache(settings: KnowledgeSettings, closers: AsyncExitStack) -> Cache:
    url = settings.redis_url
    redis = None
    if url is not None:
        redis = OptionalRedis.at(
            url.get_secret_value(), use="knowledge_cache", seconds=settings.redis_seconds
        )
    cache = Cache(redis)
    closers.push_async_callback(cache.close)
    return cache
