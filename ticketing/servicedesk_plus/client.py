"""One call to the v3 API, and what its failures mean.

The tool says how a call went in `response_status`, not always in the HTTP status, and what stands before it
(a proxy, a login page, a portal that is not there) answers in HTML with any status at all.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from aiohttp import ClientError, ClientSession, InvalidURL
from pydantic import ValidationError

from egress.replies import TooLarge, retry_after_seconds, what_broke, whole_body
from ticketing.errors import (
    PermissionMissing,
    TicketMissing,
    ToolError,
    ToolRateLimited,
    ToolRejected,
    ToolUnavailable,
)
from ticketing.servicedesk_plus.site import Site
from ticketing.servicedesk_plus.wire import Reply, ResponseStatus

R = TypeVar("R", bound=Reply)

LARGEST_REPLY_BYTES: Final = 5 * 1024 * 1024
_DEFAULT_RETRY_AFTER_SECONDS: Final = 60.0  # the limits are not published; a minute is their usual window
_BROKEN: Final = 500
_WORTH_ANOTHER_TRY: Final = frozenset({408, 423, 425})


@dataclass(frozen=True, slots=True)
class Call:
    method: Literal["GET", "POST"]
    url: str
    doing: str
    """What an administrator would call it: "read the request"."""
    ticket_id: str | None = None
    input_data: str | None = None
    """The one parameter of the API: JSON, in the query of a GET and in the form of a POST."""


async def call(http: ClientSession, site: Site, this: Call, reply_type: type[R]) -> R:
    status, headers, body = await _exchange(http, site, this)
    if 300 <= status < 400:
        raise ToolRejected(f"cannot {this.doing}: redirected ({status})", "set base_url to the final address")
    reply: R | ValidationError
    try:
        reply = reply_type.model_validate_json(body)
        outcome = reply.outcome
    except ValidationError as error:
        # A failure carries nothing but its outcome.
        reply, outcome = error, _outcome(body)
    if status >= 400 or (outcome is not None and not outcome.succeeded):
        raise _failure(this, site, status=status, headers=headers, outcome=outcome)
    if isinstance(reply, ValidationError):
        raise _unreadable(this, body, reply)
    return reply


async def _exchange(http: ClientSession, site: Site, this: Call) -> tuple[int, Mapping[str, str], bytes]:
    parameters = None if this.input_data is None else {"input_data": this.input_data}
    try:
        async with (
            asyncio.timeout(site.timeout_seconds),
            http.request(
                this.method,
                this.url,
                headers=site.headers,
                params=parameters if this.method == "GET" else None,
                data=parameters if this.method == "POST" else None,
                allow_redirects=False,
            ) as response,
        ):
            body = await whole_body(response, most_bytes=LARGEST_REPLY_BYTES)
            return response.status, response.headers, body
    except TooLarge:
        raise ToolRejected(
            f"cannot {this.doing}: the answer is larger than {LARGEST_REPLY_BYTES} bytes"
        ) from None
    except TimeoutError:
        raise ToolUnavailable(f"cannot {this.doing}: no answer within {site.timeout_seconds:g} s") from None
    except InvalidURL:
        raise ToolRejected("base_url is not an address") from None
    except ClientError as error:
        raise ToolUnavailable(f"cannot {this.doing}: {what_broke(error)}") from error


def _outcome(body: bytes) -> ResponseStatus | None:
    try:
        return Reply.model_validate_json(body).outcome
    except ValidationError:
        return None


def _failure(  # noqa: PLR0911 - a table: one row per meaning
    this: Call, site: Site, *, status: int, headers: Mapping[str, str], outcome: ResponseStatus | None
) -> ToolError:
    code = outcome.code if outcome is not None else None
    match code, status:
        case (4015, _) | (_, 429):
            return ToolRateLimited(
                f"cannot {this.doing}: rate limited",
                retry_after_seconds(headers, default=_DEFAULT_RETRY_AFTER_SECONDS),
            )
        case (4022, _) | (_, 401):
            return ToolRejected(
                f"cannot {this.doing}: the API key is refused",
                "check that the credential authtoken is not expired or revoked and that option edition "
                f"({site.edition}) is right",
            )
        case (4007, _) if this.ticket_id is not None:
            return TicketMissing(this.ticket_id)
        case (4002, _) | (_, 403):
            return PermissionMissing(
                f"cannot {this.doing}: forbidden{_said(outcome, site)}",
                "check that the role of the API key's technician may view this site's requests and add notes",
            )
        case (4004, _):
            return ToolUnavailable(f"cannot {this.doing}: internal error of the tool (4004)", answered=True)
        case (_, 404):
            return ToolRejected(f"cannot {this.doing}: no API at this address", "check base_url and portal")
        case _ if status >= 500 or status in _WORTH_ANOTHER_TRY:
            # Another status may be the word of a proxy, behind which the tool works on.
            return ToolUnavailable(f"cannot {this.doing}: HTTP {status}", answered=status == _BROKEN)
        case _:
            named = f"code {code}" if code is not None else f"HTTP {status}"
            return ToolRejected(f"cannot {this.doing}: refused with {named}{_said(outcome, site)}")


def _said(outcome: ResponseStatus | None, site: Site) -> str:
    """Quote the tool, less the key if it repeats it."""
    if outcome is None:
        return ""
    parts = [
        f"{', '.join(filter(None, (said.field, *said.fields)))} {said.message}".strip()
        for said in outcome.messages
    ]
    text = "; ".join(filter(None, parts))
    for secret in {*site.headers.values(), site.token}:
        text = text.replace(secret, "***")
    return f": {text[:200]}" if text else ""


def _unreadable(this: Call, body: bytes, error: ValidationError) -> ToolError:
    if body.lstrip()[:1] == b"<":
        return ToolRejected(
            f"cannot {this.doing}: answered with a web page",
            "check base_url and portal, and that no login page or proxy stands before the API",
        )
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return ToolUnavailable(f"cannot {this.doing}: the answer is cut short or not JSON", answered=True)
    field = ".".join(str(part) for part in first["loc"])
    return ToolRejected(f"cannot {this.doing}: the answer is not one of the v3 API ({field}: {first['msg']})")
