"""Syncs one knowledge base: takes in what is new or has changed, and removes what is there no more."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import structlog

from audit.event import Actor
from audit.imports import ImportEvent, Origin
from knowledgebases.errors import KnowledgeBaseError, RateLimited, Rejected, TooMuch
from knowledgebases.model import Listed, Page
from services.knowledge import telemetry
from services.knowledge.bases import Base, Bases
from services.knowledge.ingest import keep
from services.knowledge.model import Article, ArticleId, Source
from services.knowledge.pages import Pages, has_changed
from services.knowledge.peers import SUBJECT, AccessUnknown, NotServed
from services.knowledge.store import AUDIT, TenantArticles
from services.knowledge.syncs import Claimed, Counts, LeaseLost, Syncs
from services.runtime.causes import place_of
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.runtime.importing import ImportReport

T = TypeVar("T")

_LEASE: Final = timedelta(seconds=60)
_RENEW_SECONDS: Final = 15.0
_TURN_SECONDS: Final = 1_200.0
# Between these, only what has changed is asked for, and so nothing is found to be gone.
_WHOLE_EVERY: Final = timedelta(hours=6)
_AGAIN_AFTER_TROUBLE: Final = timedelta(minutes=5)
_REMOVED_AT_ONCE: Final = 100
# So many may go, and so large a share, without anybody having asked for it.
_FEW_REMOVED: Final = 20
_SHARE_REMOVED: Final = 0.5
_TOLD_CHARACTERS: Final = 1_000

_log = structlog.get_logger(__name__)


class Syncing:
    def __init__(
        self, database: Database, syncs: Syncs, bases: Bases, pages: Pages, *, embedded: bool
    ) -> None:
        self._database = database
        self._syncs = syncs
        self._bases = bases
        self._pages = pages
        self._embedded = embedded

    async def sync_next(self, tenant: str) -> None:
        """The client's next one that is due, if there is one: to its end, or until its time to come again."""
        claimed = await self._syncs.claim(tenant, lease=_LEASE)
        if claimed is None:
            return
        counts = Counts()
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(tenant, claimed, counts))
                await self._sync(tenant, claimed, counts)
                renewing.cancel()
        except* LeaseLost:
            _log.info("knowledge_base_sync_lost", tenant_id=tenant)

    async def _renew(self, tenant: str, claimed: Claimed, counts: Counts) -> None:
        while True:
            await self._syncs.renew(tenant, claimed, counts, lease=_LEASE)
            await asyncio.sleep(_RENEW_SECONDS)

    async def _sync(self, tenant: str, claimed: Claimed, counts: Counts) -> None:
        articles = TenantArticles(self._database, tenant, embedded=self._embedded)
        of_base = _Round(self._database, articles, claimed.name, self._pages, counts)
        try:
            await self._run(tenant, claimed, of_base, counts)
        except NotServed:
            await self._syncs.fail(tenant, claimed, "", again=_AGAIN_AFTER_TROUBLE)
        except AccessUnknown as error:
            await self._failed(tenant, claimed, error.message, again=_AGAIN_AFTER_TROUBLE)
        except RateLimited as error:
            again = timedelta(seconds=error.retry_after_seconds)
            await self._failed(tenant, claimed, str(error), again=again)
        except KnowledgeBaseError as error:
            await self._failed(tenant, claimed, str(error), again=_AGAIN_AFTER_TROUBLE)
        except (LeaseLost, DependencyUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - connectors are anybody's, and the next one has its turn
            _log.error("knowledge_base_sync_broke", where=place_of(error))
            told = f"failed with {type(error).__name__}; the log says where"
            await self._failed(tenant, claimed, told, again=_AGAIN_AFTER_TROUBLE)
        finally:
            await of_base.end()

    async def _run(self, tenant: str, claimed: Claimed, of_base: "_Round", counts: Counts) -> None:
        base = (await self._bases.reach_anew(tenant)).get(claimed.name)
        if base is None or not base.synced:
            await of_base.remove_all()
            await self._syncs.forget(tenant, claimed)
        elif base.paused:
            await self._syncs.fail(tenant, claimed, "", again=base.every)
        else:
            # Other settings have asked for it.
            whole = claimed.whole or _is_over(claimed.whole_time)
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    await of_base.run(
                        base,
                        since=None if whole else claimed.changed_since,
                        anew=not claimed.as_before and claimed.whole_time is not None,
                        wanted=claimed.whole,
                    )
            except TimeoutError:
                # Others wait for their turn; what was taken in is not read again in the next one.
                await self._syncs.fail(tenant, claimed, "", again=timedelta())
                return
            await self._syncs.renew(tenant, claimed, counts, lease=_LEASE)
            await self._syncs.succeed(tenant, claimed, whole=whole, again=base.every)
            telemetry.count_base_sync(done=True)

    async def _failed(self, tenant: str, claimed: Claimed, error: str, *, again: timedelta) -> None:
        await self._syncs.fail(tenant, claimed, error[:_TOLD_CHARACTERS], again=again)
        telemetry.count_base_sync(done=False)
        _log.warning("knowledge_base_sync_failed", tenant_id=tenant, error=error[:_TOLD_CHARACTERS])


class _Round:
    def __init__(
        self, database: Database, articles: TenantArticles, source: Source, pages: Pages, counts: Counts
    ) -> None:
        self._database = database
        self._articles = articles
        self._source = source
        self._pages = pages
        self._counts = counts
        self._unread = set[ArticleId]()
        """They are there, and too long."""
        actor = Actor(principal=SUBJECT, subject=SUBJECT, role="service", request_id="")
        origin = Origin(articles.tenant, actor, "ImportArticles", f"knowledge_bases/{source}")
        self._event = ImportEvent(AUDIT, origin)

    async def run(self, base: Base, *, since: datetime | None, anew: bool, wanted: bool) -> None:
        """What a round that was cut off has taken in is not read again; without `since`, all are compared.

        `anew` reads them all: they may be others under the same names. Raises `Rejected` where too much would
        go, unless the round was `wanted`.
        """
        connector = base.connector
        known = await self._articles.kept(self._source)
        listed = set[ArticleId]()
        async for some in connector.list_pages(base.http, base.connection, since=since):
            listed.update(ArticleId(each.id) for each in some)
            news = [
                page
                for page in some
                if anew or (kept := known.get(ArticleId(page.id))) is None or has_changed(page, kept)
            ]
            for few in _some_at_a_time(news, connector.most_at_once):
                await self._take_in(await self._read(base, few))
        gone = sorted(known.keys() - listed)
        if since is None and gone:
            # An account that is taken for nobody's sees nothing, and is told no error.
            await connector.sign_in(base.http, base.connection)
            if not wanted and len(gone) > max(_FEW_REMOVED, _SHARE_REMOVED * len(known)):
                raise Rejected(
                    f"{len(gone)} of {len(known)} pages are not listed any more; nothing was removed",
                    "if that is so, have it synced now, which removes them",
                )
            for ids in _some_at_a_time(gone, connector.most_at_once):
                there = await self._read(base, [Listed(page_id, None) for page_id in ids])
                await self._take_in(there)
                await self._remove([*{*ids} - {ArticleId(page.id) for page in there} - self._unread])

    async def remove_all(self) -> None:
        ids = list(await self._articles.kept(self._source))
        for some in _some_at_a_time(ids, _REMOVED_AT_ONCE):
            await self._remove(some)

    async def end(self) -> None:
        report = ImportReport(rejected=self._counts.rejected)
        await self._event.end(self._database, report)

    async def _read(self, base: Base, pages: Sequence[Listed]) -> Sequence[Page]:
        """Those that are too long together are read by halves; one that is too long alone is left out."""
        try:
            return await base.connector.read(base.http, base.connection, pages)
        except TooMuch:
            if len(pages) == 1:
                self._unread.add(ArticleId(pages[0].id))
                self._counts.rejected += 1
                telemetry.count_rows(ImportReport(rejected=1))
                return ()
        half = len(pages) // 2
        return [*await self._read(base, pages[:half]), *await self._read(base, pages[half:])]

    async def _take_in(self, pages: Sequence[Page]) -> None:
        read = [await self._pages.article(self._articles.tenant, self._source, page) for page in pages]
        rows = [each for each in read if isinstance(each, Article)]
        report = await keep(self._articles, self._event, rows)
        report.rejected = len(read) - len(rows)
        telemetry.count_rows(report)
        self._counts.created += report.created
        self._counts.updated += report.updated
        self._counts.rejected += report.rejected

    async def _remove(self, ids: Sequence[ArticleId]) -> None:
        self._counts.removed += await self._articles.remove(self._source, ids, self._event)


def _is_over(whole_time: datetime | None) -> bool:
    return whole_time is None or datetime.now(UTC) - whole_time > _WHOLE_EVERY


def _some_at_a_time(all_: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (all_[start : start + most] for start in range(0, len(all_), most))
