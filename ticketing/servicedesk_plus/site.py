"""Where one tenant's ServiceDesk Plus is, and how to sign in to it.

Credentials: `authtoken`, the technician's API key on-premises, the OAuth access token in Cloud.
Options: `edition` (`onprem`, the default, or `cloud`), `portal` (Cloud, as in `/app/<portal>/`) and
`timeout_seconds` (the whole of one call, 15 by default). `requests_per_minute` (see `ticketing.options`) is
kept by the caller; the tool does not publish its limits, and integrators advise 30.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from egress.connection import Connection
from ticketing.errors import ToolRejected
from ticketing.servicedesk_plus.wire import TICKET_ID

Edition = Literal["onprem", "cloud"]

_DEFAULT_TIMEOUT_SECONDS: Final = 15.0
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Site:
    api: str
    """Everything before `/requests`."""
    pages: str
    edition: Edition
    token: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    timeout_seconds: float

    @classmethod
    def of(cls, connection: Connection) -> Self:
        root = _root(connection.base_url)
        token = connection.credentials.get("authtoken", "")
        if not _TOKEN.fullmatch(token):
            # Also keeps the HTTP library from quoting it in an error about an illegal header.
            raise ToolRejected(
                "the credential authtoken is missing or has characters no header can carry",
                "set the credential authtoken to the API key",
            )
        accept = {"Accept": "application/vnd.manageengine.sdp.v3+json"}
        timeout_seconds = _timeout(connection.options.get("timeout_seconds"))
        match connection.options.get("edition", "onprem"):
            case "onprem":
                headers = {**accept, "authtoken": token}
                return cls(f"{root}/api/v3", root, "onprem", token, headers, timeout_seconds)
            case "cloud":
                portal = connection.options.get("portal", "")
                if not _SEGMENT.fullmatch(portal):
                    raise ToolRejected("option portal must name the Cloud portal, as in /app/<portal>/")
                pages = f"{root}/app/{portal}"
                headers = {**accept, "Authorization": f"Zoho-oauthtoken {token}"}
                return cls(f"{pages}/api/v3", pages, "cloud", token, headers, timeout_seconds)
            case _:
                raise ToolRejected("option edition must be onprem or cloud")

    def request(self, ticket_id: str, *rest: str) -> str:
        """Return the API address of a ticket, or of something of it."""
        if not re.fullmatch(TICKET_ID, ticket_id):
            raise ToolRejected("the ticket id is not one of ServiceDesk Plus")
        return "/".join((self.api, "requests", ticket_id, *rest))

    def page(self, ticket_id: str) -> str:
        """Return the address of a ticket's page for a person; its notes are on it."""
        match self.edition:
            case "onprem":
                return f"{self.pages}/WorkOrder.do?woMode=viewWO&woID={ticket_id}"
            case "cloud":
                return f"{self.pages}/ui/requests/{ticket_id}/details"


def _root(base_url: str) -> str:
    if not _is_root(base_url):
        raise ToolRejected("base_url must be http(s)://host[:port][/path], without user, query or fragment")
    return base_url.rstrip("/")


def _is_root(base_url: str) -> bool:
    try:
        parts = urlsplit(base_url)
        addressed = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return addressed and parts.username is None and not parts.query and not parts.fragment


def _timeout(option: str | None) -> float:
    try:
        seconds = float(option) if option else _DEFAULT_TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:
        raise ToolRejected("option timeout_seconds must be a number above 0 and at most 60")
    return seconds
