"""One tenant's articles in PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from audit.changes import changed, differences
from audit.event import Action, Actor
from audit.imports import ImportEvent
from audit.outbox import Outbox
from retrieval.documents import VERSION, merged
from retrieval.sparse import sparse_vector
from services.knowledge.model import (
    TITLE_POSITION,
    Article,
    ArticleId,
    ArticleKey,
    ArticleReference,
    Passage,
    PassageKey,
    Source,
)
from services.knowledge.rows import article_key, article_of
from services.knowledge.searching import NAME_COLUMNS, Searching
from services.runtime.database import Connection, Database

AUDIT: Final = Outbox("knowledge")
_UPSERT: Final = """
    insert into knowledge.articles as known
        (source, article_id, title, title_key, body, url, tags, updated)
    select source, article_id, title, title_key, body, url, tags, updated
    from jsonb_to_recordset($1::jsonb) as new (
        source text, article_id text, title text, title_key text, body text, url text, tags text[],
        updated timestamptz
    )
    on conflict (tenant_id, source, article_id) do update set
        title = excluded.title, title_key = excluded.title_key, body = excluded.body, url = excluded.url,
        tags = excluded.tags, updated = excluded.updated
    where (known.title, known.body, known.url, known.tags, known.updated)
        is distinct from (excluded.title, excluded.body, excluded.url, excluded.tags, excluded.updated)
    returning source, article_id, known.xmax = 0 as created
"""
_INSERT_PASSAGES: Final = """
    insert into knowledge.passages (source, article_id, position, headings, anchor, body)
    select source, article_id, position, headings, anchor, body
    from jsonb_to_recordset($1::jsonb) as new (
        source text, article_id text, position integer, headings text[], anchor text, body text
    )
"""
_INDEX_ARTICLES: Final = """
    insert into knowledge.article_search (source, article_id, version, lexemes, weights)
    select source, article_id, $2, array_to_tsvector(lexemes), weights::public.sparsevec
    from jsonb_to_recordset($1::jsonb)
        as new (source text, article_id text, lexemes text[], weights text)
"""
_INDEX_PASSAGES: Final = """
    insert into knowledge.passage_search (source, article_id, position, weights)
    select source, article_id, position, weights::public.sparsevec
    from jsonb_to_recordset($1::jsonb)
        as new (source text, article_id text, position integer, weights text)
"""
# What is found now is embedded soon; what changed meanwhile was forgotten first, and so waits once more.
_TO_EMBED: Final = """
    insert into knowledge.embedding_backlog (source, article_id, position)
    select * from unnest($1::text[], $2::text[], $3::integer[])
"""
_PASSAGE_TABLES: Final = (
    "passages",
    "passage_search",
    "article_search",
    "passage_vectors",
    "embedding_backlog",
)
_GONE: Final = """
    using unnest($1::text[], $2::text[]) as gone (source, article_id)
    where cut.source = gone.source and cut.article_id = gone.article_id
"""


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """A passage and the weights of its lexemes."""

    passage: Passage
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class IndexedArticle:
    article: Article
    passages: Sequence[IndexedPassage]

    @property
    def has_words(self) -> bool:
        """False for what nothing can be found by."""
        return any(part.weights for part in self.passages)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write found: the articles that were not known, and those that were known differently."""

    created: frozenset[ArticleKey]
    updated: frozenset[ArticleKey]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list an article stands."""

    title_key: str
    key: ArticleKey


@dataclass(frozen=True, slots=True)
class Kept:
    updated: datetime | None
    url: str
    tags: frozenset[str]


class TenantArticles:
    def __init__(self, database: Database, tenant: str, *, embedded: bool) -> None:
        self._database = database
        self.tenant = tenant
        self._embedded = embedded

    async def record(self, article: IndexedArticle, *, by: Actor) -> Written:
        """Insert or replace one with its passages."""
        key = article.article.key
        async with self._database.tenant(self.tenant) as connection:
            await self._become_writer(connection)
            row = await connection.fetchrow(
                f"select {NAME_COLUMNS}, body from knowledge.articles"  # noqa: S608 - constants
                " where source = $1 and article_id = $2",
                *(key.source, key.id),
            )
            written = await self._write(connection, [article])
            if written.created or written.updated:
                before = article_of(row, body=row["body"]) if row is not None else None
                changes = differences(before, article.article, without={"key"})
                action = Action("RecordArticle", f"articles/{key.source}/{key.id}", changes)
                await AUDIT.add(connection, self.tenant, by, action)
        return written

    async def write(self, articles: Sequence[IndexedArticle], event: ImportEvent) -> Written:
        """Insert or replace some of an import in one transaction; no two have the same key."""
        async with self._database.tenant(self.tenant) as connection:
            await self._become_writer(connection)
            written = await self._write(connection, articles)
            await event.count(connection, created=len(written.created), updated=len(written.updated))
        return written

    async def _write(self, connection: Connection, articles: Sequence[IndexedArticle]) -> Written:
        by_key = {each.article.key: each for each in articles}
        rows = await connection.fetch(_UPSERT, _json(_article_row(each.article) for each in articles))
        is_new = {article_key(row): row["created"] for row in rows}
        await self._forget_passages(connection, [key for key, created in is_new.items() if not created])
        await self._keep_passages(connection, [by_key[key] for key in is_new])
        return Written(
            created=frozenset(key for key, created in is_new.items() if created),
            updated=frozenset(key for key, created in is_new.items() if not created),
        )

    async def find(self, reference: ArticleReference) -> Article | None:
        async with self._database.tenant(self.tenant) as connection:
            row = await connection.fetchrow(
                f"select {NAME_COLUMNS}, body from knowledge.articles"  # noqa: S608 - a constant
                " where article_id = $1 and ($2::text is null or source = $2) order by source limit 1",
                reference.id,
                reference.source,
            )
        return None if row is None else article_of(row, body=row["body"])

    async def page(self, *, after: Place | None, size: int) -> tuple[list[Article], Place | None]:
        """Read up to `size` articles by title, without bodies; with the last one's place if more follow."""
        # Two statements: with one for both, the plan could not start in the index where the page does.
        where, place = "", []
        if after is not None:
            where = "where (title_key, source, article_id) > ($2, $3, $4)"
            place = [after.title_key, after.key.source, after.key.id]
        async with self._database.tenant(self.tenant) as connection:
            rows = await connection.fetch(
                f"select {NAME_COLUMNS}, title_key from knowledge.articles {where}"  # noqa: S608 - constants
                " order by title_key, source, article_id limit $1",
                size + 1,
                *place,
            )
        shown = rows[:size]
        last = shown[-1] if len(rows) > size else None
        return [article_of(row) for row in shown], Place(
            last["title_key"], article_key(last)
        ) if last else None

    async def delete(self, reference: ArticleReference, *, by: Actor) -> bool:
        async with self._database.tenant(self.tenant) as connection:
            await self._become_writer(connection)
            rows = await connection.fetch(
                "delete from knowledge.articles"  # noqa: S608 - a constant
                " where article_id = $1 and ($2::text is null or source = $2)"
                f" returning {NAME_COLUMNS}, body",
                reference.id,
                reference.source,
            )
            await self._forget_passages(connection, [article_key(row) for row in rows])
            if rows:
                deleted = [article_of(row, body=row["body"]) for row in rows]
                await AUDIT.add(connection, self.tenant, by, _deletion(deleted))
        return bool(rows)

    async def kept(self, source: Source) -> dict[ArticleId, Kept]:
        """All articles of a source, by what tells whether they have changed there."""
        async with self._database.tenant(self.tenant) as connection:
            rows = await connection.fetch(
                "select article_id, updated, url, tags from knowledge.articles where source = $1", source
            )
        return {
            ArticleId(row["article_id"]): Kept(row["updated"], row["url"], frozenset(row["tags"]))
            for row in rows
        }

    async def remove(self, source: Source, ids: Sequence[ArticleId], event: ImportEvent) -> int:
        """Remove those that the source has no more, in one transaction; how many there were."""
        async with self._database.tenant(self.tenant) as connection:
            await self._become_writer(connection)
            rows = await connection.fetch(
                "delete from knowledge.articles where source = $1 and article_id = any($2::text[])"
                " returning source, article_id",
                source,
                list(ids),
            )
            await self._forget_passages(connection, [article_key(row) for row in rows])
            await event.count(connection, removed=len(rows))
        return len(rows)

    @asynccontextmanager
    async def searching(self) -> AsyncIterator[Searching]:
        """One transaction for what one search reads."""
        async with self._database.tenant(self.tenant) as connection:
            yield Searching(connection)

    async def _become_writer(self, connection: Connection) -> None:
        """Wait for this tenant's other writers: they would lock the lexemes' counts in crossing orders."""
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"knowledge.articles:{self.tenant}"
        )

    async def _keep_passages(self, connection: Connection, articles: Sequence[IndexedArticle]) -> None:
        rows = [_passage_row(each, at) for each in articles for at in range(len(each.passages))]
        if not rows:
            return
        wholes = [_whole_row(each) for each in articles if each.has_words]
        await connection.execute(_INSERT_PASSAGES, _json(rows))
        await connection.execute(_INDEX_PASSAGES, _json(rows))
        await connection.execute(_INDEX_ARTICLES, _json(wholes), VERSION)
        if self._embedded:
            await self._queue(connection, [each for each in articles if each.has_words])

    async def _queue(self, connection: Connection, articles: Sequence[IndexedArticle]) -> None:
        keys = [
            PassageKey(each.article.key, position)
            for each in articles
            for position in (TITLE_POSITION, *range(len(each.passages)))
        ]
        await connection.execute(
            _TO_EMBED,
            [key.article.source for key in keys],
            [key.article.id for key in keys],
            [key.position for key in keys],
        )

    async def _forget_passages(self, connection: Connection, keys: Sequence[ArticleKey]) -> None:
        gone = [key.source for key in keys], [key.id for key in keys]
        for table in _PASSAGE_TABLES:
            await connection.execute(f"delete from knowledge.{table} as cut {_GONE}", *gone)  # noqa: S608


def _deletion(articles: Sequence[Article]) -> Action:
    first = articles[0]
    if len(articles) == 1:
        changes = differences(first, None, without={"key"})
        return Action("DeleteArticle", f"articles/{first.key.source}/{first.key.id}", changes)
    titles = {str(each.key.source): each.title for each in articles}
    return Action("DeleteArticle", f"articles/-/{first.key.id}", changed(titles, {}))


def _json(rows: Iterable[Mapping[str, object]]) -> str:
    return orjson.dumps(list(rows)).decode()


def _article_row(article: Article) -> dict[str, object]:
    return {
        "source": article.key.source,
        "article_id": article.key.id,
        "title": article.title,
        "title_key": article.title_key,
        "body": article.body,
        "url": article.url,
        "tags": article.tags,
        "updated": article.updated,
    }


def _passage_row(indexed: IndexedArticle, position: int) -> dict[str, object]:
    part = indexed.passages[position]
    return {
        "source": indexed.article.key.source,
        "article_id": indexed.article.key.id,
        "position": position,
        "headings": part.passage.headings,
        "anchor": part.passage.anchor,
        "body": part.passage.text,
        "weights": sparse_vector(part.weights),
    }


def _whole_row(indexed: IndexedArticle) -> dict[str, object]:
    weights = merged(part.weights for part in indexed.passages)
    return {
        "source": indexed.article.key.source,
        "article_id": indexed.article.key.id,
        "lexemes": list(weights),
        "weights": sparse_vector(weights),
    }
