"""Tests a connection to a knowledge base: a verdict on each thing that is needed there, one attempt each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aiohttp import ClientError, ClientSession, InvalidURL

from egress.connection import Connection
from egress.replies import what_broke
from knowledgebases.contract import Connector
from knowledgebases.errors import KnowledgeBaseError, RateLimited, Rejected, Unavailable

_FROM_A_PROXY: Final = frozenset({502, 503, 504})
_IS_IT_UP: Final = "check that the knowledge base is up, and that base_url leads to it from here"
# In most languages of most clients, some page has it.
_ANY_WORD: Final = ("password",)


class Check(Enum):
    """In the order in which they are made; each needs those before it, but the last two not each other."""

    REACHABLE = "reachable"
    AUTHENTICATED = "authenticated"
    READ_PAGES = "read_pages"
    SEARCH = "search"


class Verdict(Enum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    verdict: Verdict
    seen: str
    """What was seen, for an administrator; it holds no secret."""
    next_step: str = ""
    """What to do about it; empty where there is nothing to do."""


async def check_connection(
    http: ClientSession, connector: Connector, connection: Connection, *, seconds: float, seconds_each: float
) -> Sequence[Finding]:
    """Give a finding for every check, within about `seconds`. Changes nothing there."""
    attempts: Mapping[Check, Callable[[], Awaitable[str]]] = {
        Check.REACHABLE: lambda: _reach(http, connection.base_url),
        Check.AUTHENTICATED: lambda: connector.sign_in(http, connection),
        Check.READ_PAGES: lambda: _read_one(http, connector, connection),
        Check.SEARCH: lambda: _search(http, connector, connection),
    }
    found: list[Finding] = []
    ends = time.monotonic() + seconds
    for check, attempt in attempts.items():
        left = ends - time.monotonic()
        failed = next((each for each in found if each.verdict is Verdict.FAILED), None)
        if check is Check.SEARCH and not connector.can_search:
            found.append(Finding(check, Verdict.SKIPPED, "what this reads cannot be searched there"))
        elif failed is not None and failed.check is not Check.READ_PAGES:
            skipped = f"not tried: {failed.check.value.replace('_', ' ')} comes first"
            found.append(Finding(check, Verdict.SKIPPED, skipped, "mend that, then test again"))
        elif left <= 0:
            late = "not tried: the time for the test was over"
            found.append(Finding(check, Verdict.SKIPPED, late, "test again later"))
        else:
            found.append(await _attempted(check, attempt, min(seconds_each, left)))
    return found


async def _attempted(check: Check, attempt: Callable[[], Awaitable[str]], seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            return Finding(check, Verdict.OK, await attempt())
    except TimeoutError:
        return Finding(check, Verdict.FAILED, f"no answer within {seconds:.0f} s", _IS_IT_UP)
    except KnowledgeBaseError as error:
        return Finding(check, Verdict.FAILED, error.message, _next_step(error))
    except Exception as error:  # noqa: BLE001 - connectors are anybody's
        seen = f"its connector failed ({type(error).__name__})"
        return Finding(check, Verdict.FAILED, seen, "ask whoever made the connector")


def _next_step(error: KnowledgeBaseError) -> str:
    match error:
        case Rejected():
            return error.next_step or "correct the knowledge base's settings or credentials"
        case RateLimited():
            return f"test again in {error.retry_after_seconds:.0f} s"
        case _:
            return _IS_IT_UP


async def _reach(http: ClientSession, base_url: str) -> str:
    """Ask without credentials: any answer is one."""
    try:
        async with http.get(base_url, allow_redirects=False) as response:
            status = response.status
    except InvalidURL:
        raise Rejected("base_url is not an address", "set it to http(s)://host[:port][/path]") from None
    except ClientError as error:
        raise Unavailable(what_broke(error)) from error
    if status in _FROM_A_PROXY:
        raise Unavailable(f"what stands before it answers in its place, with HTTP {status}")
    return f"base_url answers, with HTTP {status}"


async def _read_one(http: ClientSession, connector: Connector, connection: Connection) -> str:
    async for listed in connector.list_pages(http, connection, since=None):
        if listed:
            pages = await connector.read(http, connection, listed[:1])
            return f"read {pages[0].title!r}" if pages else "listed pages"
    raise Rejected(
        "there is no page that this account sees", "check what is chosen, and the account's rights"
    )


async def _search(http: ClientSession, connector: Connector, connection: Connection) -> str:
    found = await connector.search(http, connection, _ANY_WORD, limit=1)
    return f"{len(found)} found for {_ANY_WORD[0]!r}"
