"""The contract, kept by queries for pages of the chosen spaces."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import urlencode

from aiohttp import ClientSession

from egress.connection import Connection
from knowledgebases.confluence import cql
from knowledgebases.confluence.client import get
from knowledgebases.confluence.site import Site
from knowledgebases.confluence.wire import Content, Results, User
from knowledgebases.errors import Rejected
from knowledgebases.model import Listed, Page

_SEARCH: Final = "/rest/api/content/search"
# Confluence's own limit where bodies are not expanded.
_LISTED_AT_ONCE: Final = 200
_EXPANDED: Final = "body.view,version,metadata.labels"
_ID: Final = re.compile(r"[0-9]{1,20}")
_NEXT: Final = re.compile(rf"{re.escape(_SEARCH)}\?[\x21-\x7e]+")
_KEPT_ELSEWHERE: Final = frozenset({"archived", "trashed", "draft", "historical", "deleted"})


class Confluence:
    name: ClassVar[str] = "confluence"
    options: ClassVar[frozenset[str]] = frozenset({"spaces"})
    can_search: ClassVar[bool] = True
    most_at_once: ClassVar[int] = 20

    async def sign_in(self, http: ClientSession, connection: Connection) -> str:
        user = await get(http, Site.of(connection), "/rest/api/user/current", User, doing="sign in")
        if user.type == "anonymous":
            raise Rejected("cannot sign in: taken for an anonymous visitor", "check email and token")
        return f"signed in as {user.display_name or 'an account without a name'}"

    async def list_pages(
        self, http: ClientSession, connection: Connection, *, since: datetime | None
    ) -> AsyncIterator[Sequence[Listed]]:
        site = Site.of(connection)
        query = cql.pages_of(site.spaces)
        if since is not None:
            query += f" and {cql.changed_since(since)}"
        path = _path(f"{query} order by lastmodified asc", limit=_LISTED_AT_ONCE, expand="version")
        seen = set[str]()
        while path:
            if path in seen:
                raise Rejected("cannot list pages: the answers lead in a circle")
            seen.add(path)
            results = await get(http, site, path, Results, doing="list pages")
            yield [Listed(each.id, each.version.when) for each in results.results if _is_there(each)]
            path = _next(results)

    async def read(
        self, http: ClientSession, connection: Connection, page_ids: Sequence[str]
    ) -> Sequence[Page]:
        site = Site.of(connection)
        # Others cannot be of a page, and must not become part of a query.
        possible = list(filter(_ID.fullmatch, page_ids))
        if not possible:
            return ()
        query = f"{cql.pages_of(site.spaces)} and {cql.with_ids(possible)}"
        path = _path(query, limit=len(possible), expand=_EXPANDED)
        return await _pages(http, site, path, doing="read pages")

    async def search(
        self, http: ClientSession, connection: Connection, words: Sequence[str], *, limit: int
    ) -> Sequence[Page]:
        site = Site.of(connection)
        wanted = cql.with_any(words)
        if wanted is None:
            return ()
        path = _path(f"{cql.pages_of(site.spaces)} and {wanted}", limit=limit, expand=_EXPANDED)
        return await _pages(http, site, path, doing="search")


async def _pages(http: ClientSession, site: Site, path: str, *, doing: str) -> Sequence[Page]:
    results = await get(http, site, path, Results, doing=doing)
    base = results.links.base
    root = base if base.startswith(("http://", "https://")) else site.root
    return [_page(each, root=root) for each in results.results if _is_there(each)]


def _path(query: str, *, limit: int, expand: str) -> str:
    return f"{_SEARCH}?{urlencode({'cql': query, 'limit': limit, 'expand': expand})}"


def _next(results: Results) -> str:
    """Only on in the same listing: wherever else an answer points, the credentials are not sent there."""
    path = results.links.next.removeprefix(results.links.context)
    if path and not _NEXT.fullmatch(path):
        raise Rejected("cannot list pages: the answer's next page is not one of the listing")
    return path


def _is_there(content: Content) -> bool:
    return content.status not in _KEPT_ELSEWHERE


def _page(content: Content, *, root: str) -> Page:
    return Page(
        id=content.id,
        title=content.title,
        html=content.body.view.value,
        url=f"{root}{content.links.webui}",
        labels=tuple(each.name for each in content.metadata.labels.results),
        updated=content.version.when,
    )
