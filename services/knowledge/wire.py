"""Between the contract's messages and the model."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from dossier.knowledge.v1 import article_pb2
from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from retrieval.relevance import Ranking
from services.knowledge.answers import Search
from services.knowledge.model import (
    DEFAULT_SOURCE,
    Answer,
    Article,
    ArticleId,
    ArticleKey,
    ArticleReference,
    Passage,
    Source,
)
from services.knowledge.ratings import Rating
from services.knowledge.store import Place
from services.runtime.errors import InvalidArgument
from services.runtime.importing import Broken, ImportReport, broken_rule
from services.runtime.paging import PageTokens

MAX_ROWS: Final = 100
_DEFAULT_RESULTS: Final = 5
_DEFAULT_PAGE: Final = 50
# PostgreSQL keeps no NUL in a text.
_NUL: Final = "\0"


def search_from(request: pb.SearchArticlesRequest, usual: Ranking) -> Search:
    """Read what is asked; `usual` is how the client is searched where the request does not say."""
    return Search(
        subject=request.subject,
        description=request.description,
        limit=request.limit or _DEFAULT_RESULTS,
        ranking=Ranking(
            request.meaning_share if request.HasField("meaning_share") else usual.meaning_share,
            request.min_score if request.HasField("min_score") else usual.floor,
        ),
        with_surroundings=request.with_surroundings,
    )


def rating_from(request: pb.RateArticleRequest) -> Rating:
    return Rating(
        id=_nameless(request.rating_id),
        revision=request.revision,
        article=ArticleKey(Source(_nameless(request.source)), ArticleId(_nameless(request.article_id))),
        helpful=request.helpful if request.HasField("helpful") else None,
        subject=request.subject,
        description=request.description,
    )


def reference_to(article_id: str, source: str) -> ArticleReference:
    return ArticleReference(ArticleId(_nameless(article_id)), Source(_nameless(source)) if source else None)


def page_size(request: pb.ListArticlesRequest) -> int:
    return request.page_size or _DEFAULT_PAGE


def place_from(tokens: PageTokens, page_token: str) -> Place | None:
    match tokens.decode(page_token):
        case ():
            return None
        # Anybody can make a token; PostgreSQL must be able to read what is in it.
        case (str(title_key), str(source), str(article_id)) if _NUL not in title_key + source + article_id:
            return Place(title_key, ArticleKey(Source(source), ArticleId(article_id)))
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def token_to(tokens: PageTokens, place: Place | None) -> str:
    return tokens.encode(place.title_key, place.key.source, place.key.id) if place else ""


def recorded_from(request: pb.RecordArticleRequest) -> Article:
    row = read_article(request.article, source=DEFAULT_SOURCE)
    if isinstance(row, Broken):
        raise InvalidArgument(row.reason, field=f"article.{row.field}")
    return row


async def batches_from(
    requests: AsyncIterator[pb.ImportArticlesRequest],
) -> AsyncIterator[Sequence[Article | Broken]]:
    source: Source | None = None
    async for request in requests:
        if len(request.articles) > MAX_ROWS:
            raise InvalidArgument(
                f"a message has at most {MAX_ROWS} rows, this one {len(request.articles)}", field="articles"
            )
        source = source or Source(request.source or DEFAULT_SOURCE)
        yield [read_article(row, source=source) for row in request.articles]


def read_article(row: article_pb2.Article, *, source: Source) -> Article | Broken:
    """Read a row; `source` is where it is from unless it says otherwise."""
    title = _text(row.title)
    updated = _update_time(row)
    broken = (
        broken_rule(row, row.id)
        or (Broken(row.id, "id", "must have no NUL character") if _NUL in row.id else None)
        or (None if title else Broken(row.id, "title", "must not be empty"))
    )
    if broken is not None:
        return broken
    if isinstance(updated, Broken):
        return updated
    return Article(
        key=ArticleKey(Source(row.source) if row.source else source, ArticleId(row.id)),
        title=title,
        body=_text(row.body),
        url=_text(row.url),
        tags=tuple(map(_text, row.tags)),
        updated=updated,
    )


def write_article(article: Article) -> article_pb2.Article:
    message = article_pb2.Article(
        id=article.key.id,
        source=article.key.source,
        title=article.title,
        body=article.body,
        url=article.url,
        tags=article.tags,
    )
    if article.updated is not None:
        message.update_time.FromDatetime(article.updated)
    return message


def write_answer(answer: Answer) -> pb.FoundPassage:
    return pb.FoundPassage(
        article=write_article(answer.article),
        passage=_write_passage(answer.passage),
        score=answer.score,
        matched_terms=answer.matched,
        surroundings=[_write_passage(each) for each in answer.surroundings],
        lexical_score=answer.lexical,
        semantic_score=answer.cosine,
        boosts=answer.boosts,
    )


def write_report(report: ImportReport) -> pb.ImportArticlesResponse:
    return pb.ImportArticlesResponse(
        created_count=report.created,
        updated_count=report.updated,
        unchanged_count=report.unchanged,
        rejected_count=report.rejected,
        rejected=[
            pb.RejectedArticle(
                row=each.row, id=each.broken.id, field=each.broken.field, reason=each.broken.reason
            )
            for each in report.first_rejected
        ],
    )


def _write_passage(passage: Passage) -> article_pb2.Passage:
    return article_pb2.Passage(heading=passage.heading, anchor=passage.anchor, text=passage.text)


def _update_time(row: article_pb2.Article) -> datetime | Broken | None:
    if not row.HasField("update_time"):
        return None
    try:
        return row.update_time.ToDatetime(UTC)
    except ValueError:
        return Broken(row.id, "update_time", "is not a time")


def _nameless(name: str) -> str:
    """Nothing is called by a name with a NUL in it, and PostgreSQL must not be asked."""
    return name.replace(_NUL, "\ufffd")


def _text(value: str) -> str:
    return value.replace(_NUL, "")
