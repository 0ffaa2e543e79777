"""The vectors of passages in PostgreSQL, and what waits for one."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from embedding.backfill import Lag, Waiting
from embedding.contract import Vector
from embedding.half import half_vector
from services.knowledge.model import ArticleId, ArticleKey, PassageKey, Source, text_of
from services.knowledge.rows import article_key, passage, passage_key
from services.runtime.database import NOT_MIGRATED, Database
from services.runtime.errors import DependencyUnavailable, TransactionAborted

# Of the title, the passage columns are null.
_TEXTS: Final = """
    select wanted.source, wanted.article_id, wanted.position, title, headings, anchor, passages.body
    from unnest($1::text[], $2::text[], $3::integer[]) as wanted (source, article_id, position)
    join knowledge.articles using (source, article_id)
    left join knowledge.passages using (tenant_id, source, article_id, position)
    where wanted.position = -1 or passages.body is not null
"""
# Of an article that has changed since, the vector is of what it was: it is in the backlog again, added later.
_KEEP: Final = """
    with done as (
        delete from knowledge.embedding_backlog as b
        using unnest($1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::text[])
            as new (source, article_id, position, added, vector)
        where b.source = new.source and b.article_id = new.article_id and b.position = new.position
          and b.added = new.added
        returning new.*
    )
    insert into knowledge.passage_vectors (source, article_id, position, model, vector)
    select done.source, done.article_id, done.position, $6, done.vector::public.halfvec from done
    join knowledge.article_search using (source, article_id)
    where done.vector is not null
    on conflict (tenant_id, source, article_id, position) do update
        set model = excluded.model, vector = excluded.vector
"""
# Articles are queued whole, with about so many passages each.
_PASSAGES_AN_ARTICLE: Final = 10


class Vectors:
    """What knowledge keeps for `embedding.backfill`."""

    troubles = (DependencyUnavailable, TransactionAborted, TimeoutError, *NOT_MIGRATED)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, count: int, *, lease: timedelta) -> Sequence[Waiting[PassageKey]]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select * from knowledge.take_backlog($1, $2)", count, lease)
        return [Waiting(row["tenant_id"], passage_key(row), row["added"]) for row in rows]

    async def texts(self, tenant: str, keys: Sequence[PassageKey]) -> dict[PassageKey, str]:
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                _TEXTS,
                [key.article.source for key in keys],
                [key.article.id for key in keys],
                [key.position for key in keys],
            )
        return {
            passage_key(row): text_of(row["title"], None if row["body"] is None else passage(row))
            for row in rows
        }

    async def keep(
        self, tenant: str, done: Sequence[tuple[Waiting[PassageKey], Vector | None]], *, model: str
    ) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                _KEEP,
                [each.key.article.source for each, _ in done],
                [each.key.article.id for each, _ in done],
                [each.key.position for each, _ in done],
                [each.added for each, _ in done],
                [None if vector is None else half_vector(vector) for _, vector in done],
                model,
            )

    async def queue_unembedded(
        self, model: str, after: tuple[str, PassageKey] | None, count: int
    ) -> tuple[str, PassageKey] | None:
        tenant, article = ("", ArticleKey(Source(""), ArticleId("")))
        if after is not None:
            tenant, article = after[0], after[1].article
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "select * from knowledge.queue_unembedded($1, $2, $3, $4, $5)",
                model,
                tenant,
                article.source,
                article.id,
                count // _PASSAGES_AN_ARTICLE,
            )
        return None if row is None else (row["tenant_id"], PassageKey(article_key(row), 0))

    async def lag(self) -> Lag:
        async with self._database.transaction() as connection:
            (row,) = await connection.fetch("select * from knowledge.backlog_state()")
        return Lag(row["waiting"], row["oldest_seconds"])
