"""Pages of knowledge bases as articles."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from converting.errors import Unconvertible
from converting.worker import Worker
from dossier.knowledge.v1.article_pb2 import Article as Row
from knowledgebases.model import Listed, Page
from services.knowledge.model import Article, Source
from services.knowledge.shares import Shares
from services.knowledge.store import Kept
from services.knowledge.unconverted import PageKey, Unconverted
from services.knowledge.wire import read_article
from services.runtime.importing import Broken

_TITLE_CHARACTERS = 4_096
_BODY_CHARACTERS = 1_048_576
_URL_CHARACTERS = 2_048
_LABELS = 64
_LABEL_CHARACTERS = 128


class Pages:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._shares = Shares(in_all=worker.processes, of_one=1)
        self._converting = set[asyncio.Task[str]]()
        self._unconvertible = Unconverted()

    async def article(self, tenant: str, source: Source, page: Page) -> Article | Broken:
        """Read a page as an import reads a row; of what is too long, the beginning.

        Raises `ConverterBroken`.
        """
        try:
            body = await self._body(tenant, source, page)
        except Unconvertible as error:
            return Broken(page.id, "body", str(error))
        row = Row(
            id=page.id,
            title=page.title[:_TITLE_CHARACTERS] or page.id,
            body=body[:_BODY_CHARACTERS],
            url=_url(page.url),
            tags=_tags(page.labels),
        )
        if page.updated is not None:
            row.update_time.FromDatetime(page.updated)
        return read_article(row, source=source)

    async def _body(self, tenant: str, source: Source, page: Page) -> str:
        key = (tenant, source, page.id, page.updated)
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._shares.one(tenant))
            # Another search may have found it out while this one waited.
            if (reason := self._unconvertible.reason(key)) is not None:
                raise Unconvertible(reason)
            # Who stops waiting lets go neither of the process nor of the share: the next page would wait.
            task = asyncio.create_task(self._converted(held.pop_all(), key, page))
        self._converting.add(task)
        task.add_done_callback(self._converting.discard)
        return await asyncio.shield(task)

    async def _converted(self, held: AsyncExitStack, key: PageKey, page: Page) -> str:
        async with held:
            try:
                return await self._worker.markdown(page.html, base_url=page.url)
            except Unconvertible as error:
                self._unconvertible.add(key, str(error))
                raise


def has_changed(listed: Listed, kept: Kept) -> bool:
    """Whether it is to be read again, as far as a listing tells."""
    return (
        listed.updated is None
        or listed.updated != kept.updated
        or (listed.url is not None and _url(listed.url) != kept.url)
        or (listed.labels is not None and frozenset(_tags(listed.labels)) != kept.tags)
    )


def _url(url: str) -> str:
    return url if len(url) <= _URL_CHARACTERS else ""


def _tags(labels: Sequence[str]) -> Sequence[str]:
    return [label[:_LABEL_CHARACTERS] for label in labels[:_LABELS]]
