"""The options of a connection that mean the same for every tool; whoever calls the adapter keeps them."""

from typing import Final

from egress.connection import Connection
from ticketing.errors import ToolRejected

EVERYWHERE: Final = frozenset({"requests_per_minute"})
_MOST_PER_MINUTE: Final = 10_000


def requests_per_minute(connection: Connection) -> int | None:
    """Return the most requests that the tool takes in any minute, or None: only its own 429 counts."""
    option = connection.options.get("requests_per_minute")
    if option is None:
        return None
    if not (option.isascii() and option.isdecimal() and 1 <= int(option) <= _MOST_PER_MINUTE):
        raise ToolRejected(f"option requests_per_minute must be a whole number from 1 to {_MOST_PER_MINUTE}")
    return int(option)
