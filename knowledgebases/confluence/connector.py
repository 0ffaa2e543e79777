"""The contract, kept by queries for pages of the chosen spaces."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import urlencode

from aiohttp import ClientSession

from egress.connection import Connection
from knowledgebases.confluence import cql
from knowledgebases.confluence.client import LARGEST_FOUND_BYTES, Budget, find, get
from knowledgebases.confluence.site import Site
from knowledgebases.confluence.wire import Content, One, Results, User
from knowledgebases.errors import Rejected
from knowledgebases.model import Listed, Page

_CONTENT: Final = "/rest/api/content"
_SEARCH: Final = f"{_CONTENT}/search"
# Confluence's own limit where bodies are not expanded.
_LISTED_AT_ONCE: Final = 200
_LISTED: Final = "version,metadata.labels"
_EXPANDED: Final = f"body.view,{_LISTED}"
_ID: Final = re.compile(r"[0-9]{1,20}")
_NEXT: Final = re.compile(rf"{re.escape(_SEARCH)}\?[\x21-\x7e]{{1,8192}}")
# Far more than a wiki has: an end for what has none.
_MOST_LISTINGS: Final = 10_000
_MOST_LISTED: Final = 1_000_000
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
        path = _path(f"{query} order by lastmodified asc", limit=_LISTED_AT_ONCE, expand=_LISTED)
        listed = 0
        async for results in _all(http, site, path, doing="list pages", most=_MOST_LISTINGS):
            listed += len(results.results)
            if listed > _MOST_LISTED:
                raise Rejected(
                    f"cannot list pages: there are more than {_MOST_LISTED} pages",
                    "choose fewer in the option spaces",
                )
            root = _root(site, results.links.base)
            yield [_listed(each, root=root) for each in results.results if _is_there(each)]

    async def read(
        self, http: ClientSession, connection: Connection, pages: Sequence[Listed]
    ) -> Sequence[Page]:
        site = Site.of(connection)
        # Others cannot be of a page, and must not become part of a query.
        possible = list(dict.fromkeys(each.id for each in pages if _ID.fullmatch(each.id)))
        if not possible:
            return ()
        query = f"{cql.pages_of(site.spaces)} and {cql.with_ids(possible)}"
        path = _path(query, limit=len(possible), expand=_EXPANDED)
        budget = Budget()
        read = dict[str, Page]()
        # An answer may be shorter than it was asked to be, or without a page, but not each of them.
        async for results in _all(
            http, site, path, doing="read pages", most=self.most_at_once, budget=budget
        ):
            read |= {page.id: page for page in _pages(site, results) if page.id in possible}
            if len(read) == len(possible):
                break
        # What the index has not may be there: it lags behind, and is made anew now and then.
        for page_id in possible:
            if page_id not in read:
                page = await _by_itself(http, site, page_id, budget)
                if page is not None:
                    read[page_id] = page
        return list(read.values())

    async def search(
        self, http: ClientSession, connection: Connection, words: Sequence[str], *, limit: int
    ) -> Sequence[Page]:
        site = Site.of(connection)
        wanted = cql.with_any(words)
        if wanted is None:
            return ()
        path = _path(f"{cql.pages_of(site.spaces)} and {wanted}", limit=limit, expand=_EXPANDED)
        budget = Budget(LARGEST_FOUND_BYTES)
        results = await get(http, site, path, Results, doing="search", budget=budget)
        return _pages(site, results)


async def _all(
    http: ClientSession, site: Site, path: str, *, doing: str, most: int, budget: Budget | None = None
) -> AsyncIterator[Results]:
    """`most` answers; each has a budget of its own where they have none together."""
    seen = set[str]()
    while path:
        if path in seen:
            raise Rejected(f"cannot {doing}: the answers lead in a circle")
        if len(seen) == most:
            raise Rejected(f"cannot {doing}: the answers go on without end, after {most} of them")
        seen.add(path)
        results = await get(http, site, path, Results, doing=doing, budget=budget)
        yield results
        path = _next(results, doing=doing)


async def _by_itself(http: ClientSession, site: Site, page_id: str, budget: Budget) -> Page | None:
    path = f"{_CONTENT}/{page_id}?{urlencode({'expand': f'{_EXPANDED},space'})}"
    content = await find(http, site, path, One, doing="read a page", budget=budget)
    chosen = {space.casefold() for space in site.spaces}
    if (
        content is None
        or content.type != "page"
        or not _is_there(content)
        or content.space.key.casefold() not in chosen
    ):
        return None
    return _page(content, root=_root(site, content.links.base))


def _pages(site: Site, results: Results) -> Sequence[Page]:
    root = _root(site, results.links.base)
    return [_page(each, root=root) for each in results.results if _is_there(each)]


def _root(site: Site, base: str) -> str:
    return base if base.startswith(("http://", "https://")) else site.root


def _path(query: str, *, limit: int, expand: str) -> str:
    return f"{_SEARCH}?{urlencode({'cql': query, 'limit': limit, 'expand': expand})}"


def _next(results: Results, *, doing: str) -> str:
    """Only on in the same listing: wherever else an answer points, the credentials are not sent there."""
    path = results.links.next.removeprefix(results.links.context)
    if path and not _NEXT.fullmatch(path):
        raise Rejected(f"cannot {doing}: the answer's next page is not one of the listing")
    return path


def _is_there(content: Content) -> bool:
    return content.status not in _KEPT_ELSEWHERE


def _listed(content: Content, *, root: str) -> Listed:
    return Listed(content.id, content.version.when, _url(content, root=root), _labels(content))


def _page(content: Content, *, root: str) -> Page:
    return Page(
        id=content.id,
        title=content.title,
        html=content.body.view.value,
        url=_url(content, root=root),
        labels=_labels(content),
        updated=content.version.when,
    )


def _url(content: Content, *, root: str) -> str:
    return f"{root}{content.links.webui}"


def _labels(content: Content) -> tuple[str, ...]:
    return tuple(each.name for each in content.metadata.labels.results)
