"""Which pages of a site are one client's knowledge base, and how they are asked for.

Credentials, where any are needed: `user` and `password`, or a `token` that is sent as a bearer. Options:
`pages` and `sitemaps`, addresses separated by commas, relative to `base_url`. Only what is below it is read.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import quote, unquote

from yarl import URL

from egress.connection import Connection
from knowledgebases.errors import Rejected

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_SLASHES: Final = re.compile(r"%2f|%5c|%2e|\\", re.IGNORECASE)
_ROOT_ID: Final = "."
_LONGEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Site:
    root: URL
    """Its path ends with a slash."""
    pages: tuple[URL, ...]
    sitemaps: tuple[URL, ...]
    headers: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, connection: Connection) -> Self:
        root = _root(connection.base_url)
        pages = _addresses(root, "pages", connection.options.get("pages", ""))
        sitemaps = _addresses(root, "sitemaps", connection.options.get("sitemaps", ""))
        if not pages and not sitemaps:
            raise Rejected(
                "nothing is chosen", "set the option pages or sitemaps, as in sitemaps=sitemap.xml"
            )
        return cls(root, pages, sitemaps, _headers(connection))

    def id_of(self, page: URL) -> str | None:
        """Its address below the root, as an id may be written; None where that is too long for one."""
        below = page.raw_path_qs.removeprefix(self.root.raw_path)
        page_id = quote(below, safe="") or _ROOT_ID
        return page_id if len(page_id) <= _LONGEST_ID else None

    def page(self, page_id: str) -> URL:
        below = "" if page_id == _ROOT_ID else unquote(page_id)
        return URL(f"{self.root.origin()}{self.root.raw_path}{below}", encoded=True)


def below(root: URL, address: str, *, at: URL | None = None) -> URL | None:
    """Where an address leads that stands at `at`; None where that is not below the root, whatever it is.

    So neither a setting nor an answer sends the credentials elsewhere.
    """
    try:
        led = (at or root).join(URL(address.strip())).with_fragment(None)
        inside = led.origin() == root.origin() and led.raw_path.startswith(root.raw_path)
        # Some servers take these for a slash, and so lead out.
        inside = inside and not _SLASHES.search(led.raw_path)
    except ValueError:
        return None
    return led if inside and led.user is None and led.password is None else None


def _root(base_url: str) -> URL:
    try:
        root = URL(base_url)
        addressed = root.scheme in {"http", "https"} and bool(root.host) and root.port != 0
    except ValueError:
        root, addressed = URL(), False
    if not addressed or root.user is not None or root.raw_query_string or root.raw_fragment:
        raise Rejected("base_url must be http(s)://host[:port][/path], without user, query or fragment")
    return root if root.raw_path.endswith("/") else root.with_path(f"{root.raw_path}/", encoded=True)


def _addresses(root: URL, option: str, told: str) -> tuple[URL, ...]:
    addresses = []
    for each in filter(None, map(str.strip, told.split(","))):
        address = below(root, each)
        if address is None:
            raise Rejected(
                f"option {option}: {each[:200]} is not below base_url", "set base_url to what has all"
            )
        addresses.append(address)
    return tuple(addresses)


def _headers(connection: Connection) -> dict[str, str]:
    credentials = connection.credentials
    user, password, token = (credentials.get(name, "") for name in ("user", "password", "token"))
    if ":" in user:
        raise Rejected("the credential user has a colon, and so cannot be sent")
    # Also keeps the HTTP library from quoting it in an error about an illegal header.
    if token and not _TOKEN.fullmatch(token):
        raise Rejected("the credential token has characters no header can carry")
    headers = {"Accept": "text/html,application/xhtml+xml;q=0.9"}
    if user:
        basic = b64encode(f"{user}:{password}".encode()).decode()
        return headers | {"Authorization": f"Basic {basic}"}
    return headers | {"Authorization": f"Bearer {token}"} if token else headers
