"""Takes an import's rows as they come and counts what became of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from services.network.telemetry import IMPORTED_ROWS
from services.runtime.importing import Broken, ImportReport, take_in


class Keyed(Protocol):
    @property
    def key(self) -> Hashable: ...


Row = TypeVar("Row", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Changes(Generic[Row]):
    """How many rows of a batch are new, different and the same, and what there is to write."""

    created: int
    updated: int
    unchanged: int
    to_write: Sequence[Row]


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
    report = await take_in(batches, save)
    for outcome in ("created", "updated", "unchanged", "rejected"):
        IMPORTED_ROWS.labels(inventory, outcome).inc(getattr(report, outcome))
    return report
