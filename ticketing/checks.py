"""Tests a connection to a tool: a verdict on each thing that Dossier needs there, one attempt each."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog
from aiohttp import ClientSession

from egress.connection import Connection
from ticketing.contract import TicketingTool
from ticketing.errors import CannotTell, TicketMissing, ToolError, ToolRateLimited, ToolRejected
from ticketing.model import NoteTrial
from ticketing.options import requests_per_minute
from ticketing.reach import reach

_log = structlog.get_logger(__name__)


class Check(Enum):
    """In the order in which they are made."""

    REACHABLE = "reachable"
    AUTHENTICATED = "authenticated"
    READ_TICKETS = "read_tickets"
    READ_NOTES = "read_notes"
    ADD_PRIVATE_NOTES = "add_private_notes"
    LIST_RESOLVED_TICKETS = "list_resolved_tickets"


class Verdict(Enum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    check: Check
    verdict: Verdict
    seen: str
    """What was seen, for an administrator; it holds no secret."""
    next_step: str = ""
    """What to do about it; empty where there is nothing to do."""


_NEEDS: Final[Mapping[Check, Check]] = {
    Check.AUTHENTICATED: Check.REACHABLE,
    Check.READ_TICKETS: Check.AUTHENTICATED,
    Check.READ_NOTES: Check.READ_TICKETS,
    Check.ADD_PRIVATE_NOTES: Check.READ_TICKETS,
    Check.LIST_RESOLVED_TICKETS: Check.AUTHENTICATED,
}
_IN_THE_WAY: Final = frozenset({Verdict.FAILED, Verdict.SKIPPED})
_IS_IT_UP: Final = "check that the tool is up, and that base_url leads to it from here"


async def check_connection(
    http: ClientSession,
    tool: TicketingTool,
    connection: Connection,
    *,
    trial: NoteTrial | None,
    seconds: float,
    seconds_each: float,
) -> Sequence[Finding]:
    """Give a finding for every check, whatever the tool does, within about `seconds`.

    Changes nothing at the tool, unless there is a `trial`: its ticket gets a private note that says what it
    is for.
    """
    probe = tool.probe(http, connection, trial=trial)

    async def sign_in() -> str:
        # What no adapter looks at, and every run needs.
        requests_per_minute(connection)
        return await probe.sign_in()

    attempts: Mapping[Check, Callable[[], Awaitable[str]]] = {
        Check.REACHABLE: lambda: reach(http, connection.base_url),
        Check.AUTHENTICATED: sign_in,
        Check.READ_TICKETS: probe.read_ticket,
        Check.READ_NOTES: probe.read_notes,
        Check.ADD_PRIVATE_NOTES: probe.add_note,
        Check.LIST_RESOLVED_TICKETS: probe.list_resolved,
    }
    found: dict[Check, Finding] = {}
    ends = time.monotonic() + seconds
    enough = ""
    for check, attempt in attempts.items():
        left = ends - time.monotonic()
        needed = found.get(_NEEDS.get(check, check))
        if needed is not None and needed.verdict in _IN_THE_WAY:
            skipped = f"not tried: {needed.check.value.replace('_', ' ')} comes first"
            found[check] = Finding(check, Verdict.SKIPPED, skipped, "mend that, then test again")
        elif enough or left <= 0:
            why = enough or "the time for the test was over"
            found[check] = Finding(check, Verdict.SKIPPED, f"not tried: {why}", "test again later")
        else:
            found[check], enough = await _attempted(check, attempt, min(seconds_each, left))
    return tuple(found.values())


async def _attempted(
    check: Check, attempt: Callable[[], Awaitable[str]], seconds: float
) -> tuple[Finding, str]:
    """Make it, and say why the tool is to be left alone after it, if so."""
    try:
        async with asyncio.timeout(seconds):
            return Finding(check, Verdict.OK, await attempt()), ""
    except ToolRateLimited as error:
        later = f"test again in {error.retry_after_seconds:.0f} s"
        return Finding(check, Verdict.UNKNOWN, str(error), later), "the tool limits our rate"
    except CannotTell as error:
        return Finding(check, Verdict.UNKNOWN, error.message, error.next_step), ""
    except ToolError as error:
        return Finding(check, Verdict.FAILED, error.message, _next_step(error)), ""
    except TimeoutError:
        seen = f"no answer within {seconds:.0f} s"
        return Finding(check, Verdict.FAILED, seen, _IS_IT_UP), ""
    except Exception as error:  # noqa: BLE001 - adapters are anybody's; who took a client on needs its secrets
        # Where, and not what it says: that may quote a credential.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}"
        _log.error("ticketing_adapter_failed", check=check.value, error=type(error).__name__, where=where)
        seen = f"the adapter failed with {type(error).__name__}"
        return Finding(check, Verdict.UNKNOWN, seen, "the log says where; tell the adapter's makers"), ""


def _next_step(error: ToolError) -> str:
    match error:
        case ToolRejected():
            return error.next_step or "correct the client's settings or credentials"
        case TicketMissing():
            return "name a ticket that is there and that this account may see"
        case _:
            return _IS_IT_UP
