"""Imports: rows come in batches, each kept in a transaction of its own; broken rows are told one by one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message

from services.runtime.rules import violations_of

_MAX_REPORTED: Final = 100


class Kept(Protocol):
    """How many rows of a batch were new, different and the same."""

    @property
    def created(self) -> int: ...

    @property
    def updated(self) -> int: ...

    @property
    def unchanged(self) -> int: ...


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be kept, and the first rule it breaks; `id` is its identifier as sent."""

    id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """`row` is the position in the import, from 1."""

    row: int
    broken: Broken


@dataclass(slots=True)
class ImportReport:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    first_rejected: list[Rejected] = field(default_factory=list)


def broken_rule(row: Message, identifier: str) -> Broken | None:
    """The first rule of its contract that a row breaks."""
    for violation in violations_of(row):
        name, _, _ = violation.field.partition("[")
        return Broken(identifier, name.partition(".")[0], violation.description)
    return None


async def take_in(
    batches: AsyncIterator[Sequence[Row | Broken]], keep: Callable[[Sequence[Row]], Awaitable[Kept]]
) -> ImportReport:
    """Keep each batch's good rows, and report on the whole."""
    report = ImportReport()
    seen = 0
    async for batch in batches:
        broken = [Rejected(seen + at, row) for at, row in enumerate(batch, 1) if isinstance(row, Broken)]
        seen += len(batch)
        kept = await keep([row for row in batch if not isinstance(row, Broken)])
        report.created += kept.created
        report.updated += kept.updated
        report.unchanged += kept.unchanged
        report.rejected += len(broken)
        report.first_rejected += broken[: _MAX_REPORTED - len(report.first_rejected)]
    return report
