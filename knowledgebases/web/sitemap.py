"""The sitemaps protocol (sitemaps.org): addresses of pages and of further sitemaps."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from aiohttp import ClientSession
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from yarl import URL

from knowledgebases.errors import Rejected, TooMuch
from knowledgebases.web.fetching import LARGEST_SITEMAP_BYTES, fetch
from knowledgebases.web.site import Site, below

_MOST_SITEMAPS: Final = 50
_MOST_PAGES: Final = 10_000


@dataclass(slots=True)
class _Found:
    pages: dict[URL, datetime | None] = field(default_factory=dict)
    sitemaps: dict[URL, bool] = field(default_factory=dict)
    """Whether it has been read."""


async def pages_of(http: ClientSession, site: Site) -> Mapping[URL, datetime | None]:
    """All pages that the settings and the sitemaps name, and when each last changed where that is told."""
    found = _Found(dict.fromkeys(site.pages), dict.fromkeys(site.sitemaps, False))
    while (
        sitemap := next((each for each, is_read in found.sitemaps.items() if not is_read), None)
    ) is not None:
        found.sitemaps[sitemap] = True
        reply = await fetch(http, site, sitemap, most_bytes=LARGEST_SITEMAP_BYTES)
        if reply.status != 200:
            raise Rejected(
                f"cannot read {sitemap.path}: HTTP {reply.status}", "check base_url and the option sitemaps"
            )
        # Seconds, where it is as large as it may be.
        await asyncio.to_thread(_read, reply.body, sitemap, site, found)
    return found.pages


def _read(body: bytes, sitemap: URL, site: Site, found: _Found) -> None:
    try:
        tree: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Rejected(f"cannot read {sitemap.path}: it is no sitemap", "check the option sitemaps") from None
    is_index = _name(tree) == "sitemapindex"
    for entry in tree:
        told = {_name(each): (each.text or "").strip() for each in entry}
        # What lies elsewhere is another's, or not what was chosen.
        address = below(site.root, told.get("loc", ""), at=sitemap) if told.get("loc") else None
        if address is None:
            continue
        if is_index:
            found.sitemaps.setdefault(address, False)
            if len(found.sitemaps) > _MOST_SITEMAPS:
                raise TooMuch(f"there are more than {_MOST_SITEMAPS} sitemaps")
        else:
            if address not in found.pages and len(found.pages) == _MOST_PAGES:
                raise TooMuch(f"there are more than {_MOST_PAGES} pages")
            found.pages[address] = _moment(told.get("lastmod", ""))


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _moment(told: str) -> datetime | None:
    """A day alone does not tell whether it has changed since it was read on that day."""
    try:
        moment = datetime.fromisoformat(told) if "T" in told else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
