"""One request to a site, and what its failures mean."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from aiohttp import ClientSession
from yarl import URL

from egress.replies import retry_after_seconds, whole_body
from knowledgebases.asking import asking
from knowledgebases.errors import RateLimited, Rejected, Unavailable
from knowledgebases.web.site import Site

LARGEST_PAGE_BYTES: Final = 2 * 1024 * 1024
LARGEST_SITEMAP_BYTES: Final = 16 * 1024 * 1024
_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_DEFAULT_RETRY_AFTER_SECONDS: Final = 60.0
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_SNIFFED: Final = 1024
# What pages are written in. Others that Python knows are no alphabets, or take minutes.
_ENCODINGS: Final = re.compile(
    r"utf-?(8|16|16le|16be)|ascii|us-ascii|iso-?8859-?\d+|latin-?1|windows-?\d+|cp125\d|"
    r"koi8-[ru]|big5|gb2312|gbk|gb18030|euc-?(jp|kr)|shift_?jis|iso-2022-jp|macintosh",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_gone(self) -> bool:
        return self.status in _GONE

    @property
    def html(self) -> str | None:
        """None where it is no page that can be read: redirected, refused as this one, or another kind."""
        kind = self.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
        if self.status != _OK or kind not in {"text/html", "application/xhtml+xml"}:
            return None
        told = _CHARSET.search(self.headers.get("content-type", "")) or _CHARSET.search(
            self.body[:_SNIFFED].decode("latin-1")
        )
        return self.body.decode(_encoding(told[1] if told else ""), errors="replace")

    @property
    def modified(self) -> datetime | None:
        try:
            told = parsedate_to_datetime(self.headers.get("last-modified", ""))
        except (ValueError, OverflowError):
            return None
        return told if told.tzinfo else told.replace(tzinfo=UTC)


async def fetch(
    http: ClientSession, site: Site, address: URL, *, most_bytes: int, only_head: bool = False
) -> Reply:
    """Raise what is wrong with the site; that a page is not there, or leads elsewhere, is a reply."""
    doing = f"read {address.path}"
    method = "HEAD" if only_head else "GET"
    async with (
        asking(doing, most_bytes=most_bytes),
        http.request(method, address, headers=site.headers, allow_redirects=False) as response,
    ):
        body = await whole_body(response, most_bytes=most_bytes)
        reply = Reply(response.status, response.headers, body)
    _raise_for(reply, doing)
    return reply


def _encoding(told: str) -> str:
    if not _ENCODINGS.fullmatch(told):
        return "utf-8"
    try:
        return codecs.lookup(told).name
    except LookupError:
        return "utf-8"


def _raise_for(reply: Reply, doing: str) -> None:
    match reply.status:
        case 429:
            seconds = retry_after_seconds(reply.headers, default=_DEFAULT_RETRY_AFTER_SECONDS)
            raise RateLimited(f"cannot {doing}: rate limited", seconds)
        case 401 | 403:
            raise Rejected(
                f"cannot {doing}: the site does not let us (HTTP {reply.status})",
                "check the credentials, and that the site lets programs in",
            )
        # Not implemented, as HEAD is at some.
        case status if status >= 500 and status != 501:
            raise Unavailable(f"cannot {doing}: HTTP {status}")
        case _:
            pass
