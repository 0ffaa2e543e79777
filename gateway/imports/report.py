"""What became of an import: what the service says of the rows that it got, and what was refused before."""

import bisect
from array import array
from typing import Any, Final, cast

from google.protobuf.message import Message

from gateway.imports.rows import Refused

_MOST_TOLD: Final = 100


class Report:
    """Keeps the first refusals and, in sixteen bytes each, where a stretch of sent lines begins."""

    def __init__(self) -> None:
        self._sent = 0
        self._positions = array("q")
        self._lines = array("q")
        self._count = 0
        self._refused: list[Refused] = []

    def sent(self, line: int) -> None:
        self._sent += 1
        if not self._lines or line - self._lines[-1] != self._sent - self._positions[-1]:
            self._positions.append(self._sent)
            self._lines.append(line)

    def refuse(self, refused: Refused) -> None:
        self._count += 1
        if len(self._refused) < _MOST_TOLD:
            self._refused.append(refused)

    def complete(self, response: Message) -> None:
        """Put lines for the positions in the service's answer, and our refusals beside its own."""
        # Which of the imports' answers it is, is known at run time only; that it has these fields, from the
        # start of the gateway on.
        answer = cast("Any", response)
        answer.rejected_count += self._count
        told = [
            Refused(self._line_of(each.row), each.id, each.field, each.reason) for each in answer.rejected
        ]
        told = sorted([*told, *self._refused], key=lambda each: each.line)[:_MOST_TOLD]
        del answer.rejected[:]
        for each in told:
            answer.rejected.add(row=each.line, id=each.id, field=each.field, reason=each.reason)

    def _line_of(self, position: int) -> int:
        at = bisect.bisect_right(self._positions, position) - 1
        return self._lines[at] + position - self._positions[at]
