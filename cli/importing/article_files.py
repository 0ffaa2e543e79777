"""Articles as files, one each: Markdown with YAML front matter, HTML, PDF, Word."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import frontmatter
import yaml  # type: ignore[import-untyped]  # published without types

from cli.errors import DossierError
from cli.importing.fields import shown
from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown
from converting.documents import MOST_BYTES
from converting.documents import SUFFIXES as CONVERTED
from converting.errors import ConverterBroken, Unconvertible
from converting.worker import Worker

MARKDOWN: Final = frozenset({".md", ".markdown"})
READ: Final = MARKDOWN | CONVERTED


@contextmanager
def opened(path: Path, kind: Kind) -> Iterator[Rows]:
    """All such files of a folder, or one file. What is of another kind is counted."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.is_file() and not _is_hidden(each, path))
        folder = path
    else:
        found, folder = [path], path.parent
    files = [each for each in found if each.suffix.lower() in READ]
    if not files:
        raise DossierError(
            f"There is no article in {path}.",
            hint=f"Articles are files ending with {', '.join(sorted(READ))}.",
        )
    passed_over = Counter(shown(each.suffix.lower() or each.name) for each in found if each not in set(files))
    unknown = Unknown()
    with Worker() as worker:
        each = _rows(folder, files, kind, unknown, worker)
        yield Rows("documents", each, len(files), unknown, mapping={}, passed_over=passed_over)


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _rows(
    folder: Path, files: Sequence[Path], kind: Kind, unknown: Unknown, worker: Worker
) -> Iterator[Row | Rejection]:
    seen: dict[str, str] = {}
    for row, file in enumerate(files, 1):
        place = Place(row, file=shown(str(file.relative_to(folder))))
        try:
            values = (
                _markdown(file, kind, unknown)
                if file.suffix.lower() in MARKDOWN
                else _converted(file, worker)
            )
        except Unconvertible as problem:
            yield Rejection(place, "", "", str(problem))
            continue
        name = str(values["id"])
        # One of the two would overwrite the other, and nobody would know which.
        if name in seen:
            yield Rejection(place, shown(name), "id", f"is that of {seen[name]}, too: rename one of them")
            continue
        seen[name] = str(place)
        yield Row(place, values)


def _converted(file: Path, worker: Worker) -> Mapping[str, object]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Unconvertible(f"is larger than {MOST_BYTES >> 20} MiB")
        document = worker.convert(file.name, file.read_bytes())
    except OSError as problem:
        raise Unconvertible(f"cannot be read: {problem.strerror}") from None
    except ConverterBroken:
        raise DossierError(
            f"{file} could not be converted: the process that does it could not be started, or died twice.",
            hint="Try again; does the machine have memory to spare?",
        ) from None
    # With its suffix: the same article is often there as two kinds of file.
    return {"id": "-".join(file.name.split()), "title": document.title, "body": document.body}


def _markdown(file: Path, kind: Kind, unknown: Unknown) -> Mapping[str, object]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if not text:
            raise Unconvertible("is empty")
        metadata, content = frontmatter.parse(text)
    except OSError as problem:
        raise Unconvertible(f"cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise Unconvertible("is not UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Unconvertible(f"has front matter that is not YAML: {_brief(error)}") from None
    values = _values(metadata, content, file=file, kind=kind, unknown=unknown)
    if not str(values["body"]).strip():
        raise Unconvertible("has no text")
    return values


def _values(
    metadata: Mapping[str, object], content: str, *, file: Path, kind: Kind, unknown: Unknown
) -> Mapping[str, object]:
    """Take what the front matter does not say from the file: its name, its first heading, its text."""
    heading = re.search(r"^#\s+(.+?)\s*#*\s*$", content, re.MULTILINE)
    title = heading.group(1) if heading else file.stem
    values: dict[str, object] = {"id": file.stem, "title": title, "body": content}
    for key, value in metadata.items():
        name = str(key)
        if kind.field_named(name) is None:
            unknown.note(name)
        elif value is not None:
            values[name] = value
    return values


def _brief(error: yaml.YAMLError | ValueError) -> str:
    return " ".join(str(error).split())[:200]
