"""Calls the knowledge service as one tenant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.article_pb2 import Article

if TYPE_CHECKING:
    from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Client:
    stub: "KnowledgeServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    async def import_(self, *articles: Article, source: str = "") -> pb.ImportArticlesResponse:
        return await self.stream([pb.ImportArticlesRequest(source=source, articles=articles)])

    async def import_in_chunks(self, articles: list[Article]) -> pb.ImportArticlesResponse:
        return await self.stream(
            pb.ImportArticlesRequest(articles=articles[start : start + 100])
            for start in range(0, len(articles), 100)
        )

    async def stream(self, requests: Iterable[pb.ImportArticlesRequest]) -> pb.ImportArticlesResponse:
        def send() -> Iterator[pb.ImportArticlesRequest]:
            yield from requests

        return await self.stub.ImportArticles(send(), metadata=self.metadata)

    async def record(self, article: Article) -> pb.RecordArticleResponse:
        return await self.stub.RecordArticle(pb.RecordArticleRequest(article=article), metadata=self.metadata)

    async def get(self, article_id: str, source: str = "") -> Article:
        request = pb.GetArticleRequest(article_id=article_id, source=source)
        return (await self.stub.GetArticle(request, metadata=self.metadata)).article

    async def list_(self, request: pb.ListArticlesRequest) -> pb.ListArticlesResponse:
        return await self.stub.ListArticles(request, metadata=self.metadata)

    async def delete(self, article_id: str, source: str = "") -> None:
        request = pb.DeleteArticleRequest(article_id=article_id, source=source)
        await self.stub.DeleteArticle(request, metadata=self.metadata)

    async def search(self, request: pb.SearchArticlesRequest) -> list[pb.FoundPassage]:
        return list((await self.stub.SearchArticles(request, metadata=self.metadata)).results)

    async def found(self, subject: str, description: str = "") -> list[str]:
        request = pb.SearchArticlesRequest(subject=subject, description=description)
        return [result.article.id for result in await self.search(request)]
