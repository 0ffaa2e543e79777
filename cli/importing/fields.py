"""The fields of an import format, and how a cell or a JSON value becomes the contract's."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

Value: TypeAlias = str | int | Sequence[str] | datetime | None

_ESCAPED_BYTES: Final = 0xDC00
"""Where `surrogateescape` puts the bytes that are no letters."""


class NotReadable(Exception):
    """A value that its field cannot take; the text says why."""


@dataclass(frozen=True, slots=True)
class Field:
    """`name` is the import format's and heads a CSV column; `attribute` is the contract's."""

    name: str
    attribute: str
    read: Callable[[object], Value]
    synonyms: tuple[str, ...] = ()
    """What others call it, as `normalized`, the likeliest first."""
    many: bool = False
    """Every column that is called so counts, not the first with something in it."""


def normalized(header: str) -> str:
    """Fold `IP-Address`, `ip_address` and ` IP Address ` into one."""
    return re.sub(r"[^0-9a-z]+", " ", header.casefold()).strip()


def whole(given: str) -> str:
    """Refuse a text with what no encoding has: the bytes of a file that were no letters in its own."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        byte = ord(given[error.start]) - _ESCAPED_BYTES
        what = f"byte {byte:#04x}" if 0x80 <= byte <= 0xFF else "half a letter"
        raise NotReadable(f"has {what}, which is not text: write it as UTF-8") from None
    return given


def shown(given: str) -> str:
    """Show such a text all the same."""
    return given.encode(errors="replace").decode()


def text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return whole(value)
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            raise NotReadable("is not a text")


def line(value: object) -> str:
    return text(value).strip()


def texts(value: object) -> Sequence[str]:
    """Read a list, or one text with its parts between commas, semicolons, bars or line breaks."""
    parts = list(value) if isinstance(value, list | tuple) else re.split(r"[,;|\n]", text(value))
    return [cleaned for part in parts if (cleaned := line(part))]


def addresses(value: object) -> Sequence[str]:
    """Drop the prefix length that inventories write behind an address."""
    return [each.partition("/")[0] for each in texts(value)]


_IN_BRACKETS: Final = re.compile(r"\((\d+)\)\s*$")


def number(value: object) -> int:
    """Read `20`, `20.0` as spreadsheets write it, and `Voice (20)` as inventories do."""
    written = line(value)
    found = _IN_BRACKETS.search(written)
    written = (found.group(1) if found else written).removesuffix(".0")
    if not written:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", written):
        raise NotReadable("is not a whole number")
    return int(written)


_MILLISECONDS_FROM: Final = 100_000_000_000


def time(value: object) -> datetime | None:
    """Read ISO 8601, UTC unless it says otherwise, or seconds or milliseconds since 1970."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    written = line(value)
    if not written:
        return None
    try:
        if re.fullmatch(r"[0-9]{9,13}", written):
            since = int(written)
            return datetime.fromtimestamp(since / 1000 if since >= _MILLISECONDS_FROM else since, UTC)
        read = datetime.fromisoformat(written)
    except ValueError:
        raise NotReadable("is not a time such as 2026-04-29T10:00:00Z") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def prefix_length(value: object) -> str:
    """Read `24` and `255.255.255.0`."""
    written = line(value).removeprefix("/")
    if not written:
        return ""
    try:
        return (
            str(ipaddress.ip_network(f"0.0.0.0/{written}").prefixlen) if "." in written else str(int(written))
        )
    except ValueError:
        raise NotReadable("is not a network mask") from None
