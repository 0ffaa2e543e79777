"""Lines into rows of a contract; of one that cannot be a row it is told why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.errors import FieldInvalid, FieldUnknown
from gateway.imports.lines import Line
from gateway.transcode.body import fill

_MOST_TOLD: Final = 256
"""Of a name, in characters: what is sent may be as long as a line."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`line` counts from 1."""

    line: int
    id: str
    field: str
    reason: str


class RowReader:
    def __init__(self, row: Descriptor, *, longest: int) -> None:
        self._new: Callable[[], Message] = GetMessageClass(row)
        # A row is named by its contract's first field.
        self._identity = row.fields[0].name
        self._longest = longest

    def read(self, line: Line, number: int) -> Message | Refused:
        if line is None:
            return Refused(number, "", "", f"is longer than {self._longest} bytes")
        try:
            content = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return Refused(number, "", "", f"is not JSON: {error.msg} at column {error.colno}")
        if not isinstance(content, dict):
            return Refused(number, "", "", "is not a JSON object")
        row = self._new()
        try:
            fill(row, content)
        except (FieldInvalid, FieldUnknown) as error:
            (violation,) = error.violations
            identity = content.get(self._identity)
            return Refused(
                number,
                identity[:_MOST_TOLD] if isinstance(identity, str) else "",
                violation.field[:_MOST_TOLD],
                violation.description.removeprefix(f"{violation.field}: "),
            )
        return row
