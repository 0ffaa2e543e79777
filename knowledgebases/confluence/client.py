"""One call to the REST API, and what its failures mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import ClientSession
from pydantic import BaseModel, ValidationError
from yarl import URL

from egress.replies import retry_after_seconds, whole_body
from knowledgebases.asking import asking
from knowledgebases.confluence.site import Site
from knowledgebases.confluence.wire import Failure
from knowledgebases.errors import KnowledgeBaseError, RateLimited, Rejected, Unavailable

R = TypeVar("R", bound=BaseModel)

LARGEST_REPLY_BYTES: Final = 16 * 1024 * 1024
# Of a search, of which there are many at once.
LARGEST_FOUND_BYTES: Final = 4 * 1024 * 1024
_DEFAULT_RETRY_AFTER_SECONDS: Final = 60.0
_TOLD_CHARACTERS: Final = 200


# The API and the credentials have been proved by the search before: it is the page that is meant.
_GONE: Final = frozenset({403, 404, 410})


@dataclass(slots=True)
class Budget:
    """How much is read of the answers to one question, however many they are."""

    most_bytes: int = field(default_factory=lambda: LARGEST_REPLY_BYTES)
    read_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def get(
    http: ClientSession,
    site: Site,
    path: str,
    reply_type: type[R],
    *,
    doing: str,
    budget: Budget | None = None,
) -> R:
    """`path` begins with `/rest/api/` and is encoded; `doing` is what an administrator would call it.

    `TooMuch` where the budget is exceeded; without one, the answer has its own.
    """
    answer = await _ask(http, site, path, doing=doing, budget=budget or Budget())
    return _read(site, answer, reply_type, doing=doing)


async def find(
    http: ClientSession, site: Site, path: str, reply_type: type[R], *, doing: str, budget: Budget
) -> R | None:
    """As `get`, of one thing; None where it is not there, or this account does not see it."""
    answer = await _ask(http, site, path, doing=doing, budget=budget)
    return None if answer.status in _GONE else _read(site, answer, reply_type, doing=doing)


async def _ask(http: ClientSession, site: Site, path: str, *, doing: str, budget: Budget) -> _Answer:
    async with asking(doing, most_bytes=budget.most_bytes):
        url = URL(site.root + path, encoded=True)
        async with http.get(url, headers=site.headers, allow_redirects=False) as response:
            body = await whole_body(response, most_bytes=budget.most_bytes - budget.read_bytes)
            budget.read_bytes += len(body)
            return _Answer(response.status, response.headers, body)


def _read(site: Site, answer: _Answer, reply_type: type[R], *, doing: str) -> R:
    if answer.status != 200:
        raise _failure(site, doing, status=answer.status, headers=answer.headers, body=answer.body)
    try:
        return reply_type.model_validate_json(answer.body)
    except ValidationError as error:
        raise _unreadable(doing, answer.body, error) from None


def _failure(  # noqa: PLR0911 - a table: one row per meaning
    site: Site, doing: str, *, status: int, headers: Mapping[str, str], body: bytes
) -> KnowledgeBaseError:
    match status:
        case 429:
            seconds = retry_after_seconds(headers, default=_DEFAULT_RETRY_AFTER_SECONDS)
            return RateLimited(f"cannot {doing}: rate limited", seconds)
        case 401:
            return Rejected(
                f"cannot {doing}: the credentials are refused",
                "check that token is not expired or revoked, and that email is given with an API token",
            )
        case 403:
            return Rejected(
                f"cannot {doing}: forbidden{_said(site, body)}",
                "check that the account may use Confluence and view the spaces",
            )
        case 404:
            return Rejected(
                f"cannot {doing}: no API at this address", "check base_url; in Cloud it ends with /wiki"
            )
        case _ if 300 <= status < 400:
            return Rejected(f"cannot {doing}: redirected ({status})", "set base_url to the final address")
        case _ if status >= 500 or status == 408:
            return Unavailable(f"cannot {doing}: HTTP {status}")
        case _:
            return Rejected(f"cannot {doing}: refused with HTTP {status}{_said(site, body)}")


def _said(site: Site, body: bytes) -> str:
    """Quote it, less the credentials if it repeats them."""
    try:
        text = Failure.model_validate_json(body).message
    except ValidationError:
        return ""
    for secret in site.secrets:
        text = text.replace(secret, "***")
    return f": {' '.join(text.split())[:_TOLD_CHARACTERS]}" if text else ""


def _unreadable(doing: str, body: bytes, error: ValidationError) -> KnowledgeBaseError:
    if body.lstrip()[:1] == b"<":
        return Rejected(
            f"cannot {doing}: answered with a web page",
            "check base_url, and that no login page or proxy stands before the API",
        )
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return Unavailable(f"cannot {doing}: the answer is cut short or not JSON")
    field = ".".join(str(part) for part in first["loc"])
    return Rejected(f"cannot {doing}: the answer is not one of Confluence ({field}: {first['msg']})")
