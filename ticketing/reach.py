"""Whether anything answers at the address of a tool, before anybody signs in there."""

from typing import Final

from aiohttp import ClientError, ClientSession, InvalidURL

from egress.replies import what_broke
from ticketing.errors import ToolRejected, ToolUnavailable

# What a proxy says of a server behind it that does not answer.
_FROM_A_PROXY: Final = frozenset({502, 503, 504})


async def reach(http: ClientSession, base_url: str) -> str:
    """Ask without credentials, and say what came back: any answer of the tool is one. Raises `ToolError`s."""
    if not base_url:
        raise ToolRejected("the client has no base_url", "set it to the tool's address")
    try:
        async with http.get(base_url, allow_redirects=False) as response:
            status = response.status
    except InvalidURL:
        raise ToolRejected("base_url is not an address", "set it to http(s)://host[:port]") from None
    except ClientError as error:
        raise ToolUnavailable(what_broke(error)) from error
    if status in _FROM_A_PROXY:
        raise ToolUnavailable(f"what stands before the tool answers in its place, with HTTP {status}")
    return f"base_url answers, with HTTP {status}"
