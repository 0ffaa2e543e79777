"""JSON Lines: one object a line."""

from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import Final

import orjson

from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown

_LONGEST_LINE: Final = 16 << 20
"""A row has to fit into a message of 4 MiB; escapes and blanks may make its line longer."""


def read(file: BufferedReader, kind: Kind, *, renamed: Mapping[str, str], total: int | None) -> Rows:
    unknown = Unknown()
    return Rows("jsonl", _rows(file, kind, renamed, unknown), total, unknown, mapping=renamed)


def _rows(
    file: BufferedReader, kind: Kind, renamed: Mapping[str, str], unknown: Unknown
) -> Iterator[Row | Rejection]:
    row = 0
    for number, line in enumerate(_lines(file), 1):
        if line is not None and not line.strip():
            continue
        row += 1
        place = Place(row, line=number)
        read_values = "is longer than 16 MiB" if line is None else _values(line)
        if isinstance(read_values, str):
            yield Rejection(place, "", "", read_values)
        else:
            yield Row(place, _known(read_values, kind, renamed, unknown))


def _lines(file: BufferedReader) -> Iterator[bytes | None]:
    """Read lines of any length; None is one too long to keep."""
    first = True
    while line := file.readline(_LONGEST_LINE):
        if line.endswith(b"\n") or len(line) < _LONGEST_LINE:
            yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        else:
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield None
        first = False


def _values(line: bytes) -> Mapping[str, object] | str:
    try:
        read = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at column {error.colno}"
    return read if isinstance(read, dict) else "is not a JSON object"


def _known(
    values: Mapping[str, object], kind: Kind, renamed: Mapping[str, str], unknown: Unknown
) -> Mapping[str, object]:
    known: dict[str, object] = {}
    for name, value in values.items():
        field = kind.field_named(renamed.get(name, name))
        if field is None:
            unknown.note(name)
        else:
            known[field.name] = value
    return known
