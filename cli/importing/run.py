"""An import as a whole: rows read, checked and sent in batches, and what became of them."""

import bisect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from cli.errors import DossierError
from cli.importing.fields import NotReadable, shown
from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows
from services.runtime.importing import broken_rule

_MOST_TOLD: Final = 100
# A message holds 4 MiB, and a batch its rows with a little around them.
_BATCH_BYTES: Final = 3 << 20
_ROW_BYTES: Final = (4 << 20) - 4096


@dataclass(slots=True)
class Summary:
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    """The first hundred."""

    def reject(self, rejection: Rejection) -> None:
        self.rejected += 1
        if len(self.rejections) < _MOST_TOLD:
            self.rejections.append(rejection)


class Places:
    """Where each row that was sent stands, without keeping one entry a row."""

    def __init__(self) -> None:
        self._sent = 0
        self._begins: list[int] = []
        self._places: list[Place] = []

    def note(self, place: Place) -> None:
        self._sent += 1
        if self._places:
            ahead = self._sent - self._begins[-1]
            if place == _after(self._places[-1], ahead):
                return
        self._begins.append(self._sent)
        self._places.append(place)

    def of(self, position: int) -> Place:
        at = bisect.bisect_right(self._begins, position) - 1
        return _after(self._places[at], position - self._begins[at])


def _after(place: Place, ahead: int) -> Place:
    if ahead and place.file is not None:
        return Place(-1)
    return Place(place.row + ahead, None if place.line is None else place.line + ahead, place.file)


class Import:
    """One run over one file; `advance` hears how many lines or files are done."""

    def __init__(self, kind: Kind, rows: Rows, *, advance: Callable[[int], None]) -> None:
        self.summary = Summary()
        self._kind = kind
        self._rows = rows
        self._advance = advance
        self._at = rows.before
        self._places = Places()
        self._broken_off: DossierError | None = None

    def check(self) -> None:
        """Read and check every row; sends nothing."""
        for _ in self._messages():
            pass

    async def send(self, channel: grpc.aio.Channel, *, source: str) -> None:
        report = await self._kind.send(channel, self._batches(), source)
        self.summary.created = report.created_count
        self.summary.updated = report.updated_count
        self.summary.unchanged = report.unchanged_count
        self.summary.rejected += report.rejected_count
        for each in report.rejected[: _MOST_TOLD - len(self.summary.rejections)]:
            self.summary.rejections.append(
                Rejection(self._places.of(each.row), each.id, self._kind.name_of(each.field), each.reason)
            )
        if self._broken_off is not None:
            raise self._broken_off

    async def _batches(self) -> AsyncIterator[Sequence[Message]]:
        """Batch the rows. An error must not come out here, where gRPC would take it for a cancellation."""
        batch: list[Message] = []
        size = 0
        try:
            for message in self._messages():
                length = message.ByteSize()
                if batch and (len(batch) == self._kind.batch_rows or size + length > _BATCH_BYTES):
                    yield batch
                    batch, size = [], 0
                batch.append(message)
                size += length
        except DossierError as problem:
            self._broken_off = problem
        if batch:
            yield batch

    def _messages(self) -> Iterator[Message]:
        for row in self._rows.each:
            self.summary.rows += 1
            read = row if isinstance(row, Rejection) else _message(row, self._kind)
            self._progress(row.place)
            if isinstance(read, Rejection):
                self.summary.reject(read)
            else:
                self._places.note(row.place)
                yield read

    def _progress(self, place: Place) -> None:
        reached = place.line if place.line is not None else place.row
        self._advance(reached - self._at)
        self._at = reached


def _message(row: Row, kind: Kind) -> Message | Rejection:
    """Make the contract's message of a row, or say which field breaks which rule."""
    values: dict[str, Any] = {}
    identity = shown(str(row.values.get(kind.identity) or ""))
    for field_of in kind.fields:
        if field_of.name in row.values:
            try:
                values[field_of.attribute] = field_of.read(row.values[field_of.name])
            except NotReadable as problem:
                return Rejection(row.place, identity, field_of.name, str(problem))
    kind.shape(values)
    message = kind.message(**{name: value for name, value in values.items() if value is not None})
    if message.ByteSize() > _ROW_BYTES:
        return Rejection(row.place, identity, "", "is larger than 4 MiB")
    broken = broken_rule(message, identity)
    if broken is not None:
        return Rejection(row.place, identity, kind.name_of(broken.field), broken.reason)
    return message
