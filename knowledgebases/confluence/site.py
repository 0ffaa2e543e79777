"""Where one client's Confluence is, what of it is read, and how to sign in to it.

Credentials: `email` and `token` (Cloud: an API token; Data Center: a user and its password), or `token` alone
(Data Center: a personal access token). Options: `spaces`, the keys of the spaces whose pages are read,
separated by commas.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit

from egress.connection import Connection
from knowledgebases.errors import Rejected

_SPACE: Final = re.compile(r"[A-Za-z0-9~_.-]{1,255}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_EMAIL: Final = re.compile(r"[^:\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Site:
    root: str
    """Everything before `/rest/api`."""
    spaces: tuple[str, ...]
    headers: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, connection: Connection) -> Self:
        email, token = connection.credentials.get("email", ""), connection.credentials.get("token", "")
        # Also keeps the HTTP library from quoting it in an error about an illegal header.
        if not _TOKEN.fullmatch(token):
            raise Rejected(
                "the credential token is missing or has characters no header can carry",
                "set the credentials email and token, or token alone for a personal access token",
            )
        if email and not _EMAIL.fullmatch(email):
            raise Rejected("the credential email has a colon or characters no header can carry")
        basic = b64encode(f"{email}:{token}".encode()).decode()
        signed = f"Basic {basic}" if email else f"Bearer {token}"
        return cls(
            root=_root(connection.base_url),
            spaces=_spaces(connection.options.get("spaces", "")),
            headers={"Accept": "application/json", "Authorization": signed},
            secrets=(token, basic),
        )


def _root(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        addressed = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        bare = parts.username is None and not parts.query and not parts.fragment
    except ValueError:
        addressed = bare = False
    if not addressed or not bare:
        raise Rejected("base_url must be http(s)://host[:port][/path], without user, query or fragment")
    return base_url.rstrip("/")


def _spaces(option: str) -> tuple[str, ...]:
    spaces = tuple(filter(None, map(str.strip, option.split(","))))
    if not spaces or not all(map(_SPACE.fullmatch, spaces)):
        raise Rejected("option spaces must name the keys of spaces, as in IT,OPS")
    return spaces
