"""The contract, kept by reading pages one by one: those that have changed, where the site tells."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Final

from aiohttp import ClientSession
from yarl import URL

from converting.titles import title_of
from egress.connection import Connection
from knowledgebases.errors import Rejected, Unavailable
from knowledgebases.model import Listed, Page
from knowledgebases.web.fetching import LARGEST_PAGE_BYTES, fetch
from knowledgebases.web.site import Site
from knowledgebases.web.sitemap import pages_of

# A site is asked gently: it is somebody's, and a sync has time.
_AT_ONCE: Final = 4


class Web:
    name: ClassVar[str] = "web"
    options: ClassVar[frozenset[str]] = frozenset({"pages", "sitemaps"})
    can_search: ClassVar[bool] = False
    most_at_once: ClassVar[int] = 20

    async def sign_in(self, http: ClientSession, connection: Connection) -> str:
        """Nobody is signed in to a site: it lets us read, or not."""
        pages = await pages_of(http, Site.of(connection))
        return f"{len(pages)} pages are named"

    async def list_pages(
        self,
        http: ClientSession,
        connection: Connection,
        *,
        since: datetime | None,  # noqa: ARG002 - a page may be new, and its file old
    ) -> AsyncIterator[Sequence[Listed]]:
        site = Site.of(connection)
        named = list((await pages_of(http, site)).items())
        for start in range(0, len(named), _AT_ONCE):
            some = named[start : start + _AT_ONCE]
            listed = await asyncio.gather(*(_listed(http, site, page, told) for page, told in some))
            yield [each for each in listed if each is not None]

    async def read(
        self, http: ClientSession, connection: Connection, pages: Sequence[Listed]
    ) -> Sequence[Page]:
        site = Site.of(connection)
        # What was listed is named; the sitemaps may be many.
        is_named = all(each.url is not None for each in pages)
        named = {} if is_named else await pages_of(http, site)
        wanted = [
            (each.id, page, named.get(page) or each.updated)
            for each in pages
            if (page := site.page(each.id)) in named or each.url is not None
        ]
        read = list[Page | BaseException | None]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            read += await asyncio.gather(
                *(_read(http, site, page_id, page, told) for page_id, page, told in some),
                return_exceptions=True,
            )
        # One page that cannot be read stops no other; all of them are the site.
        troubles = [page for page in read if isinstance(page, BaseException)]
        for trouble in troubles:
            if len(troubles) == len(read) or not isinstance(trouble, (Unavailable, Rejected)):
                raise trouble
        return [page for page in read if isinstance(page, Page)]

    async def search(  # the contract's
        self,
        http: ClientSession,  # noqa: ARG002
        connection: Connection,  # noqa: ARG002
        words: Sequence[str],  # noqa: ARG002
        *,
        limit: int,  # noqa: ARG002
    ) -> Sequence[Page]:
        raise Rejected("pages of a site cannot be searched there", "set its mode to sync")


async def _listed(http: ClientSession, site: Site, page: URL, told: datetime | None) -> Listed | None:
    page_id = site.id_of(page)
    if page_id is None:
        return None
    if told is not None:
        return Listed(page_id, told, url=str(page))
    try:
        reply = await fetch(http, site, page, most_bytes=0, only_head=True)
    except Unavailable:
        # It may be that page alone: reading it will tell.
        return Listed(page_id, None, url=str(page))
    return None if reply.is_gone else Listed(page_id, reply.modified, url=str(page))


async def _read(
    http: ClientSession, site: Site, page_id: str, page: URL, told: datetime | None
) -> Page | None:
    reply = await fetch(http, site, page, most_bytes=LARGEST_PAGE_BYTES)
    html = reply.html
    if html is None:
        return None
    return Page(
        id=page_id,
        title=title_of(html) or page.path,
        html=html,
        url=str(page),
        labels=(),
        updated=told or reply.modified,
    )
