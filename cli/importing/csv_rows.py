"""CSV as spreadsheets and inventories write it: any delimiter, any of the usual headers, a mark or none."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Final, Protocol

from cli.errors import DossierError
from cli.importing.fields import Field, normalized
from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown

_DELIMITERS: Final = ",;\t|"
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_LONGEST_CELL: Final = 4 << 20
_SEPARATOR: Final = "sep="
"""How Excel is told its delimiter, in a line above the header."""


class _Reader(Protocol):
    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Column:
    """A field and the columns that fill it, the best first."""

    field: Field
    at: tuple[int, ...]

    def value(self, cells: Sequence[str]) -> object:
        filled = [cell for at in self.at if at < len(cells) and (cell := cells[at]).strip()]
        if self.field.many:
            return "\n".join(filled)
        return filled[0] if filled else ""


def decoded(file: BufferedReader, head: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding=_encoding(head), newline="")


def read(text: io.TextIOWrapper, kind: Kind, *, renamed: Mapping[str, str], total: int | None) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    first = text.readline()
    told = first.strip().removeprefix(_SEPARATOR) if first.lower().startswith(_SEPARATOR) else ""
    skipped = 1 if told else 0
    if told:
        first = text.readline()
    delimiter = told or _delimiter(first)
    reader = csv.reader(_joined(first, text), delimiter=delimiter, strict=True)
    header = [cell.strip() for cell in _next(reader) or []]
    before = skipped + reader.line_num
    unknown = Unknown()
    columns = _columns(header, kind, renamed=renamed, unknown=unknown)
    mapping = {header[at]: column.field.name for column in columns for at in column.at}
    rows = _rows(reader, columns, width=len(header), skipped=skipped)
    left = None if total is None else max(0, total - before)
    return Rows("csv", rows, left, unknown, mapping, before)


def _encoding(head: bytes) -> str:
    """Old spreadsheets write Windows' own encoding and no mark."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    try:
        head.decode()
    except UnicodeDecodeError as error:
        cut_inside_a_letter = error.end == len(head) or error.start >= len(head) - 3
        return "utf-8" if cut_inside_a_letter else "cp1252"
    return "utf-8"


def _delimiter(header: str) -> str:
    outside_quotes = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=outside_quotes.count)


def _joined(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines; a letter that is not in the encoding ends the import in plain words."""
    yield first
    try:
        yield from rest
    except UnicodeDecodeError as error:
        raise DossierError(
            f"The file is not {error.encoding} all the way: byte {error.object[error.start]:#04x}.",
            hint="Save it as UTF-8 and import it again; rows that are known already change nothing.",
        ) from error


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise DossierError(
            f"The header cannot be read as CSV: {error}.", hint="Check its quotes and its delimiter."
        ) from error


def _columns(
    header: Sequence[str], kind: Kind, *, renamed: Mapping[str, str], unknown: Unknown
) -> list[Column]:
    _require_present(header, renamed)
    plain = [normalized(name) for name in header]
    columns = []
    for field in kind.fields:
        mapped = [at for at, name in enumerate(header) if renamed.get(name) == field.name]
        known = [
            at
            for name in (normalized(field.name), *field.synonyms)
            for at, own in enumerate(plain)
            if own == name and header[at] not in renamed
        ]
        if mapped or known:
            columns.append(Column(field, (*mapped, *known)))
    used = {at for column in columns for at in column.at}
    for at, name in enumerate(header):
        if at not in used and name:
            unknown.note(name)
    _require_fields(header, kind, columns)
    return columns


def _require_present(header: Sequence[str], renamed: Mapping[str, str]) -> None:
    for name in renamed:
        if name not in header:
            raise DossierError(
                f"There is no column {name!r}.", hint=f"The columns are: {', '.join(header) or 'none'}."
            )


def _require_fields(header: Sequence[str], kind: Kind, columns: Sequence[Column]) -> None:
    found = {column.field.name for column in columns}
    missing = [name for name in kind.required if name not in found]
    if missing:
        names = ", ".join(header) or "none"
        raise DossierError(
            f"No column is known to be {' or '.join(missing)}. The columns are: {names}.",
            hint=f'Say which one is, with --map "Their Column={missing[0]}".',
        )


def _rows(
    reader: "_Reader", columns: Sequence[Column], *, width: int, skipped: int
) -> Iterator[Row | Rejection]:
    row = 0
    while True:
        line = reader.line_num + skipped + 1
        place = Place(row + 1, line=line)
        try:
            cells = next(reader, None)
        except csv.Error as error:
            row += 1
            yield Rejection(place, "", "", f"is not CSV: {error}")
            continue
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        row += 1
        if len(cells) > width:
            yield Rejection(place, "", "", f"has {len(cells)} cells, the header {width}")
        else:
            yield Row(place, {column.field.name: column.value(cells) for column in columns})
