"""One document, whatever it is: by what it begins with, and only then by its name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from bs4.dammit import UnicodeDammit

from converting import docx, html, pdf
from converting.errors import Unconvertible
from converting.titles import title_of

SUFFIXES: Final = frozenset({".html", ".htm", ".pdf", ".docx"})
MOST_BYTES: Final = 64 << 20
_MOST_HTML_BYTES: Final = 8 << 20
_SNIFFED: Final = 1024
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HEADING: Final = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_ESCAPED: Final = re.compile(r"\\([\\`*_{}\[\]()#+.!|~<>-])")


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    body: str
    """Markdown."""


def convert(name: str, content: bytes) -> Document:
    """What cannot be read, or has nothing to read, is Unconvertible with the reason.

    Costs what the document makes it cost: for what strangers wrote, let `converting.worker` do it.
    """
    if len(content) > MOST_BYTES:
        raise Unconvertible(f"is larger than {MOST_BYTES >> 20} MiB")
    if not content.strip():
        raise Unconvertible("is empty")
    title, body = _BY_KIND[_kind(PurePath(name).suffix.lower(), content)](content)
    if not body.strip():
        raise Unconvertible("has no text: scanned?" if content.startswith(b"%PDF") else "has no text")
    heading = _HEADING.search(body)
    told = title or (_ESCAPED.sub(r"\1", heading[1]) if heading else "") or PurePath(name).stem
    return Document(" ".join(told.split()), body)


def _kind(suffix: str, content: bytes) -> str:
    head = content[:_SNIFFED]
    if b"%PDF-" in head:
        return ".pdf"
    if head.startswith(b"PK\x03\x04"):
        return ".docx"
    if head.startswith(_OLE):
        raise Unconvertible("is encrypted, or of an old Word: save it as .docx without a password")
    if suffix == ".htm":
        return ".html"
    if suffix in {".pdf", ".docx"}:
        raise Unconvertible(f"is no {suffix.removeprefix('.').upper()}, whatever its name says")
    if suffix not in SUFFIXES:
        raise Unconvertible(f"is of a kind that is not read; those are: {', '.join(sorted(SUFFIXES))}")
    return suffix


def _html(content: bytes) -> tuple[str, str]:
    if len(content) > _MOST_HTML_BYTES:
        raise Unconvertible(f"is larger than {_MOST_HTML_BYTES >> 20} MiB")
    # By its mark, as UTF-8, by what it declares, and then as Windows-1252, which takes anything.
    text = UnicodeDammit(content, is_html=True, user_encodings=["utf-8"]).unicode_markup
    if text is None or "\0" in text[:_SNIFFED]:
        raise Unconvertible("is no text")
    return title_of(text), html.to_markdown(text)


_BY_KIND: Final[Mapping[str, Callable[[bytes], tuple[str, str]]]] = {
    ".html": _html,
    ".docx": lambda content: ("", docx.to_text(content)),
    ".pdf": pdf.to_text,
}
