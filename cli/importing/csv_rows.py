"""CSV as spreadsheets and inventories write it: any delimiter, any of the usual headers, a mark or none."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Final, Protocol

from cli.errors import DossierError
from cli.importing.fields import Field, NotReadable, normalized, whole
from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown

_DELIMITERS: Final = ",;\t|"
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_LONGEST_CELL: Final = 4 << 20
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_SEPARATOR: Final = "sep="
"""How Excel is told its delimiter, in a line above the header."""
_HINT: Final = "Give JSON Lines or CSV, gzipped or not; save a spreadsheet as CSV in UTF-8."


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


def decoded(file: BufferedReader, head: bytes, *, name: str) -> io.TextIOWrapper:
    encoding = _encoding(head)
    if encoding == "utf-16":
        return io.TextIOWrapper(file, encoding=encoding, newline="")
    if b"\0" in head:
        raise DossierError(f"{name} is not text: byte {head.index(0) + 1} of it is 0.", hint=_HINT)
    # What is no letter is the row's own trouble, whose field then says so.
    return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="")


def read(
    text: io.TextIOWrapper, kind: Kind, *, name: str, renamed: Mapping[str, str], total: int | None
) -> Rows:
    csv.field_size_limit(_LONGEST_CELL)
    lines = _lines(text, name)
    first = next(lines, "")
    told = first.strip().removeprefix(_SEPARATOR) if first.lower().startswith(_SEPARATOR) else ""
    skipped = 1 if told else 0
    if told:
        first = next(lines, "")
    _require_text(first, f"{name}: line {skipped + 1}")
    delimiter = told or _delimiter(first)
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
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
        # Its end may be cut inside a letter.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _delimiter(header: str) -> str:
    outside_quotes = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=outside_quotes.count)


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield the lines; UTF-16 that is broken ends the import in plain words."""
    number = 0
    try:
        for line in text:
            number += 1
            yield line
    except UnicodeDecodeError as error:
        raise DossierError(
            f"{name} is not {error.encoding} all the way: byte {error.object[error.start]:#04x} after line"
            f" {number}.",
            hint="Save it as UTF-8 and import it again; rows that are known already change nothing.",
        ) from error


def _require_text(header: str, where: str) -> None:
    try:
        whole(header)
    except NotReadable as trouble:
        raise DossierError(f"{where} {trouble}.", hint=_HINT) from trouble
    if control := _CONTROL.search(header):
        raise DossierError(f"{where} is not text: it has byte {ord(control[0]):#04x}.", hint=_HINT)


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
