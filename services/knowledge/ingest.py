"""Takes articles in: one that was written, or an import of many."""

import asyncio
from collections.abc import Sequence

from audit.event import Actor
from audit.imports import ImportEvent
from retrieval.documents import weigh
from services.knowledge import telemetry
from services.knowledge.model import Article, ArticleKey, fields
from services.knowledge.passages import passages
from services.knowledge.store import IndexedArticle, IndexedPassage, TenantArticles
from services.runtime.importing import ImportReport


async def record(articles: TenantArticles, article: Article, *, by: Actor) -> bool:
    """Keep one article; True when it was not known before."""
    (indexed,) = await asyncio.to_thread(_indexed, (article,))
    written = await articles.record(indexed, by=by)
    created, updated = len(written.created), len(written.updated)
    telemetry.count_rows(ImportReport(created, updated, 1 - created - updated))
    return bool(created)


async def keep(articles: TenantArticles, event: ImportEvent, rows: Sequence[Article]) -> ImportReport:
    """Keep rows in one transaction. Of those with one key the last holds; the others count as before it."""
    latest: dict[ArticleKey, Article] = {}
    superseded = repeated = 0
    for row in rows:
        before = latest.get(row.key)
        repeated += before == row
        superseded += before is not None and before != row
        latest[row.key] = row
    if not latest:
        return ImportReport()
    # Beside the event loop: a message full of long articles takes seconds to cut and weigh.
    written = await articles.write(await asyncio.to_thread(_indexed, tuple(latest.values())), event)
    created, updated = len(written.created), len(written.updated)
    return ImportReport(created, updated + superseded, len(latest) - created - updated + repeated)


def _indexed(rows: Sequence[Article]) -> list[IndexedArticle]:
    return [
        IndexedArticle(
            row, [IndexedPassage(passage, weigh(fields(row, passage))) for passage in passages(row.body)]
        )
        for row in rows
    ]
