"""Whether anything answers at the address of a tool, before anybody signs in there."""

from typing import Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientPayloadError,
    ClientSession,
    InvalidURL,
    ServerDisconnectedError,
)

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


def what_broke(error: ClientError) -> str:  # noqa: PLR0911 - a table: one row per break
    match error:
        case ClientConnectorCertificateError():
            return "the tool's certificate is not trusted"
        case ClientConnectorSSLError():
            return "no TLS connection to base_url"
        case ClientConnectorDNSError():
            return "the name in base_url is not known"
        case ClientConnectorError():
            return "no connection to base_url"
        case ServerDisconnectedError():
            return "the connection was cut before the answer"
        case ClientPayloadError():
            return "the answer is cut short or wrongly encoded"
        case _:
            return type(error).__name__
