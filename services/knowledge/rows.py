"""PostgreSQL's rows as the model has them."""

from typing import Any, Protocol

from services.knowledge.model import Article, ArticleId, ArticleKey, Passage, PassageKey, Source


class Row(Protocol):
    """A driver's."""

    def __getitem__(self, key: str, /) -> Any: ...


def article_key(row: Row) -> ArticleKey:
    return ArticleKey(Source(row["source"]), ArticleId(row["article_id"]))


def passage_key(row: Row) -> PassageKey:
    return PassageKey(article_key(row), row["position"])


def article_of(row: Row, *, body: str = "") -> Article:
    return Article(
        key=article_key(row),
        title=row["title"],
        body=body,
        url=row["url"],
        tags=tuple(row["tags"]),
        updated=row["updated"],
    )


def passage(row: Row) -> Passage:
    return Passage(tuple(row["headings"]), row["anchor"], row["body"])
