"""A folder of Markdown files with YAML front matter: an article each."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import frontmatter
import yaml  # type: ignore[import-untyped]  # published without types

from cli.errors import DossierError
from cli.importing.kinds import Kind
from cli.importing.rows import Place, Rejection, Row, Rows, Unknown


def read(folder: Path, kind: Kind) -> Rows:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".md", ".markdown"})
    if not files:
        raise DossierError(
            f"There is no Markdown file in {folder}.", hint="Articles are files ending with .md or .markdown."
        )
    unknown = Unknown()
    return Rows("markdown", _rows(folder, files, kind, unknown), len(files), unknown, mapping={})


def _rows(folder: Path, files: list[Path], kind: Kind, unknown: Unknown) -> Iterator[Row | Rejection]:
    for row, file in enumerate(files, 1):
        place = Place(row, file=str(file.relative_to(folder)))
        try:
            post = frontmatter.loads(file.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            yield Rejection(place, "", "", "is not UTF-8")
        except yaml.YAMLError as error:
            yield Rejection(place, "", "", f"has front matter that is not YAML: {_brief(error)}")
        else:
            yield Row(place, _values(post.metadata, post.content, file=file, kind=kind, unknown=unknown))


def _values(
    metadata: Mapping[str, object], content: str, *, file: Path, kind: Kind, unknown: Unknown
) -> Mapping[str, object]:
    """Take what the front matter does not say from the file: its name, its first heading, its text."""
    heading = re.search(r"^#\s+(.+?)\s*#*\s*$", content, re.MULTILINE)
    title = heading.group(1) if heading else file.stem
    values: dict[str, object] = {"id": file.stem, "title": title, "body": content}
    for name, value in metadata.items():
        if kind.field_named(name) is None:
            unknown.note(name)
        elif value is not None:
            values[name] = value
    return values


def _brief(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())[:200]
