"""Opens what is to be imported and finds out what it is."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from cli import gunzip
from cli.errors import DossierError
from cli.importing import article_files, csv_rows, jsonl_rows
from cli.importing.kinds import Kind
from cli.importing.rows import Format, Rows

_PEEK: Final = 65536
_STANDARD_INPUT: Final = "Standard input"
_BY_SUFFIX: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@contextmanager
def opened(given: str, kind: Kind, *, renamed: Mapping[str, str]) -> Iterator[Rows]:
    """Open a file, a folder or, for `-`, standard input. `renamed` says which column fills which field."""
    path = Path(given)
    if given == "-":
        with (
            open(sys.stdin.fileno(), "rb", closefd=False) as file,
            gunzip.plain(file, _STANDARD_INPUT) as content,
            _stream(content, kind, name=_STANDARD_INPUT, renamed=renamed, total=None) as rows,
        ):
            yield rows
    elif path.is_dir() or (path.is_file() and _is_article(path, kind)):
        _require_articles(path, kind)
        with article_files.opened(path, kind) as rows:
            yield rows
    elif path.is_file():
        # Read to its end, which also finds a damaged one before anything of it is sent.
        with gunzip.opened(path) as lines:
            total = _count_lines(lines)
        with (
            gunzip.opened(path) as file,
            _stream(file, kind, name=given, renamed=renamed, total=total, form=_form(path)) as rows,
        ):
            yield rows
    else:
        raise DossierError(
            f"There is no file or folder {given}.", hint="Give a path, or - to read standard input."
        )


def _form(path: Path) -> Format | None:
    """What its name says, with or without the suffix of gzip."""
    suffixes = [each.lower() for each in path.suffixes]
    if suffixes[-1:] == [gunzip.SUFFIX]:
        suffixes.pop()
    return _BY_SUFFIX.get(suffixes[-1]) if suffixes else None


def _is_article(path: Path, kind: Kind) -> bool:
    return kind.name == "articles" and path.suffix.lower() in article_files.READ


def _require_articles(path: Path, kind: Kind) -> None:
    if kind.name != "articles":
        raise DossierError(
            f"{path} is a folder; {kind.name} come from a file.",
            hint="Give one JSON Lines or CSV file, or - to read standard input.",
        )


@contextmanager
def _stream(
    file: BufferedReader,
    kind: Kind,
    *,
    name: str,
    renamed: Mapping[str, str],
    total: int | None,
    form: Format | None = None,
) -> Iterator[Rows]:
    head = file.peek(_PEEK)[:_PEEK]
    begins = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins.startswith(b"["):
        raise DossierError(
            "This is one JSON array; an import reads JSON Lines, one object a line.",
            hint="Turn it with: jq -c '.[]' file.json > file.jsonl",
        )
    if form == "jsonl" or (form is None and begins.startswith(b"{")):
        yield jsonl_rows.read(file, kind, renamed=renamed, total=total)
    elif not begins:
        raise DossierError(
            f"There is nothing in {name}.", hint="Give a file with rows: JSON Lines, or CSV with a header."
        )
    else:
        with csv_rows.decoded(file, head, name=name) as text:
            yield csv_rows.read(text, kind, name=name, renamed=renamed, total=total)


def _count_lines(file: BufferedReader) -> int:
    count, last = 0, b"\n"
    while block := file.read(1 << 20):
        count += block.count(b"\n")
        last = block[-1:]
    return count + (last != b"\n")
