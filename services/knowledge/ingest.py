"""Takes articles in: one that was written, or an import of many."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from retrieval.documents import weigh
from services.knowledge import telemetry
from services.knowledge.model import Article, ArticleKey, fields
from services.knowledge.passages import passages
from services.knowledge.store import IndexedArticle, IndexedPassage, TenantArticles

_MAX_REPORTED: Final = 100


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be kept, and the first rule it breaks."""

    id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """`row` is the position in the import, from 1."""

    row: int
    broken: Broken


@dataclass(slots=True)
class ImportReport:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    first_rejected: list[Rejected] = field(default_factory=list)


async def take_in(
    articles: TenantArticles, batches: AsyncIterator[Sequence[Article | Broken]]
) -> ImportReport:
    """Keep each batch in a transaction of its own."""
    report = ImportReport()
    seen = 0
    async for batch in batches:
        broken = [Rejected(seen + at, row) for at, row in enumerate(batch, 1) if isinstance(row, Broken)]
        seen += len(batch)
        await _keep(articles, [row for row in batch if isinstance(row, Article)], report)
        report.rejected += len(broken)
        report.first_rejected += broken[: _MAX_REPORTED - len(report.first_rejected)]
        telemetry.count_rows(rejected=len(broken))
    return report


async def record(articles: TenantArticles, article: Article) -> bool:
    """Keep one article; True when it was not known before."""
    report = ImportReport()
    await _keep(articles, [article], report)
    return report.created == 1


async def _keep(articles: TenantArticles, rows: Sequence[Article], report: ImportReport) -> None:
    """Keep rows in one transaction. Of those with one key the last holds; the others count as before it."""
    latest: dict[ArticleKey, Article] = {}
    superseded = repeated = 0
    for row in rows:
        before = latest.get(row.key)
        repeated += before == row
        superseded += before is not None and before != row
        latest[row.key] = row
    if not latest:
        return
    # Beside the event loop: a message full of long articles takes seconds to cut and weigh.
    written = await articles.write(await asyncio.to_thread(_indexed, tuple(latest.values())))
    created, updated = len(written.created), len(written.updated)
    unchanged = len(latest) - created - updated + repeated
    report.created += created
    report.updated += updated + superseded
    report.unchanged += unchanged
    telemetry.count_rows(created=created, updated=updated + superseded, unchanged=unchanged)


def _indexed(rows: Sequence[Article]) -> list[IndexedArticle]:
    return [
        IndexedArticle(
            row, [IndexedPassage(passage, weigh(fields(row, passage))) for passage in passages(row.body)]
        )
        for row in rows
    ]
