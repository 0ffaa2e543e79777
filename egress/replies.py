"""What came of a request to somebody else's server."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ServerDisconnectedError,
)

_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0


class TooLarge(Exception):
    """More than was asked for; the rest was not read."""


async def whole_body(response: ClientResponse, *, most_bytes: int) -> bytes:
    """Raises `TooLarge`."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > most_bytes:
            raise TooLarge
    return bytes(body)


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


def retry_after_seconds(headers: Mapping[str, str], *, default: float) -> float:
    """As the answer says, within reason; `headers` know no case."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if value.isdigit() else _until(parsedate_to_datetime(value))
    except ValueError:
        return default
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER_SECONDS)


def _until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()
