"""The contracts' values as the command tells them: plain words and numbers, in JSON and to people."""

from datetime import UTC, datetime

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def word(enum: EnumDescriptor, value: int) -> str:
    """`ENHANCEMENT_STATE_SUCCEEDED` is `succeeded`; what is not set is empty."""
    unspecified = enum.values_by_number[0].name
    if value == 0:
        return ""
    known = enum.values_by_number.get(value)
    return known.name.removeprefix(unspecified.removesuffix("UNSPECIFIED")).lower() if known else str(value)


def value_of(enum: EnumDescriptor, name: str) -> int:
    """Find the value that `word` calls so."""
    return next(number for number in enum.values_by_number if word(enum, number) == name)


def moment(timestamp: Timestamp) -> datetime | None:
    """An absent timestamp is read as the epoch, at which nothing of ours happened."""
    return timestamp.ToDatetime(UTC) if timestamp.ToNanoseconds() else None


def iso(timestamp: Timestamp) -> str | None:
    at = moment(timestamp)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def seconds(duration: Duration) -> float:
    return round(duration.ToNanoseconds() / 1e9, 3)


def lasting(length: float) -> str:
    """A duration as people read it: `38 ms`, `1.4 s`, `12 min`, `3.5 h`."""
    if length < 1:
        return f"{length * 1000:.0f} ms"
    if length < 120:
        return f"{length:.1f} s"
    return f"{length / 60:.0f} min" if length < 7200 else f"{length / 3600:.1f} h"


def number_of(number: int, one: str, many: str = "") -> str:
    """`1 row`, `12 rows`; `many` where it takes more than an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def money(dollars: float) -> str:
    return "$0" if dollars == 0 else f"${dollars:.6f}".rstrip("0")
