"""Takes an import's rows as they come and counts what became of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from services.network.telemetry import IMPORTED_ROWS

_REPORTED_REJECTIONS: Final = 100


class Keyed(Protocol):
    @property
    def key(self) -> Hashable: ...


Row = TypeVar("Row", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that breaks a rule; `id` is its name or prefix as sent."""

    id: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """`row` is its position in the stream, from 1."""

    row: int
    broken: Broken


@dataclass(frozen=True, slots=True)
class Changes(Generic[Row]):
    """How many rows of a batch are new, different and the same, and what there is to write."""

    created: int
    updated: int
    unchanged: int
    to_write: Sequence[Row]


@dataclass(slots=True)
class ImportReport:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    """The first ones."""


def changes(rows: Sequence[Row], kept: Mapping[Hashable, Row]) -> Changes[Row]:
    """Compare rows with those kept, by key. Of two rows with one key, the later replaces the earlier."""
    current, written = dict(kept), {}
    created = updated = 0
    for row in rows:
        before = current.get(row.key)
        if before == row:
            continue
        if before is None:
            created += 1
        else:
            updated += 1
        current[row.key] = written[row.key] = row
    return Changes(created, updated, len(rows) - created - updated, tuple(written.values()))


async def import_rows(
    inventory: str,
    batches: AsyncIterator[Sequence[Row | Broken]],
    save: Callable[[Sequence[Row]], Awaitable[Changes[Row]]],
) -> ImportReport:
    """Save each batch's good rows, and report on the whole."""
    report = ImportReport()
    before = 0
    async for batch in batches:
        good: list[Row] = []
        for position, row in enumerate(batch, start=before + 1):
            if not isinstance(row, Broken):
                good.append(row)
                continue
            report.rejected += 1
            if len(report.rejections) < _REPORTED_REJECTIONS:
                report.rejections.append(Rejection(position, row))
        before += len(batch)
        saved = await save(good)
        report.created += saved.created
        report.updated += saved.updated
        report.unchanged += saved.unchanged
    for outcome in ("created", "updated", "unchanged", "rejected"):
        IMPORTED_ROWS.labels(inventory, outcome).inc(getattr(report, outcome))
    return report
