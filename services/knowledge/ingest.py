"""Takes articles in: one that was written, or an import of many."""

import asyncio
from collections.abc import Sequence

from retrieval.documents import weigh
from services.knowledge import telemetry
from services.knowledge.model import Article, ArticleKey, fields
from services.knowledge.passages import passages
from services.knowledge.store import IndexedArticle, IndexedPassage, TenantArticles
from services.runtime.importing import ImportReport


async def record(articles: TenantArticles, article: Article) -> bool:
    """Keep one article; True when it was not known before."""
    kept = await keep(articles, [article])
    telemetry.count_rows(kept)
    return kept.created == 1


async def keep(articles: TenantArticles, rows: Sequence[Article]) -> ImportReport:
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
    written = await articles.write(await asyncio.to_thread(_indexed, tuple(latest.values())))
    created, updated = len(written.created), len(written.updated)
    return ImportReport(created, updated + superseded, len(latest) - created - updated + repeated)


def _indexed(rows: Sequence[Article]) -> list[IndexedArticle]:
    return [
        IndexedArticle(
            row, [IndexedPassage(passage, weigh(fields(row, passage))) for passage in passages(row.body)]
        )
        for row in rows
    ]
