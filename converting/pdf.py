"""PDF as Markdown: it knows letters and their sizes only, so larger lines are taken for headings."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pypdfium2

from converting.errors import Unconvertible

_MOST_PAGES: Final = 1_000
_MOST_CHARACTERS: Final = 1 << 20
_PASSWORD: Final = 4
_LONGEST_HEADING: Final = 120
_LEVELS: Final = 3
_LARGER: Final = 1.15
# Lines of a paragraph stand closer than this, in heights of a line.
_PARAGRAPH_GAP: Final = 1.6
_HYPHENS: Final = ("\ufffe", "\xad", "\u2010", "-")
_BULLET: Final = re.compile(r"^\s*(?:[•‣◦▪●○■\u2013*-]\s+|\uf0b7\s*)")
_NUMBER: Final = re.compile(r"^\s*\d{1,3}[.)]\s+")
_MARKUP: Final = re.compile(r"^(\s*)(#{1,6}\s|>|```|~~~)")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    height: float
    """Of its first letter; in halves of a point, so that rounding does not make two sizes of one."""
    bottom: float
    page: int


def to_text(content: bytes) -> tuple[str, str]:
    """The title that it says it has, and Markdown."""
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as problem:
        if problem.err_code == _PASSWORD:
            raise Unconvertible("is encrypted: save it without a password") from None
        raise Unconvertible("is no PDF, or damaged") from None
    with closing(document):
        if len(document) > _MOST_PAGES:
            raise Unconvertible(f"has {len(document):,} pages; at most {_MOST_PAGES:,} are read: split it")
        title = document.get_metadata_value("Title").strip()
        try:
            lines = list(_lines(document))
        except pypdfium2.PdfiumError:
            raise Unconvertible("has a damaged page") from None
    return title, "\n\n".join(_blocks(lines))


def _lines(document: pypdfium2.PdfDocument) -> Iterator[_Line]:
    read = 0
    for number, page in enumerate(document):
        with closing(page), closing(page.get_textpage()) as text_page:
            at = 0
            for line in text_page.get_text_range(errors="replace").splitlines(keepends=True):
                read += len(line)
                if read > _MOST_CHARACTERS:
                    raise Unconvertible(f"has more than {_MOST_CHARACTERS:,} characters: split it")
                if line.strip():
                    first = at + len(line) - len(line.lstrip())
                    _, bottom, _, top = text_page.get_charbox(first, loose=True)
                    yield _Line(line.strip(), round((top - bottom) * 2) / 2, bottom, number)
                at += len(line)


def _blocks(lines: Sequence[_Line]) -> Iterator[str]:
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.height] += len(line.text)
    if not sizes:
        return
    usual = sizes.most_common(1)[0][0]
    headings = {line.height for line in lines if _is_heading(line, usual)}
    levels = {height: min(at, _LEVELS) for at, height in enumerate(sorted(headings, reverse=True), 1)}
    before: _Line | None = None
    block = ""
    for line in lines:
        heading = _is_heading(line, usual)
        item = bool(_BULLET.match(line.text) or _NUMBER.match(line.text))
        if before is not None and not item and _goes_on(before, line, usual):
            block = _joined(block, line.text)
        else:
            if block:
                yield block
            mark = "#" * levels[line.height] + " " if heading else ""
            block = mark + _MARKUP.sub(r"\1\\\2", _BULLET.sub("- ", line.text))
        before = line
    yield block


def _is_heading(line: _Line, usual: float) -> bool:
    return line.height >= usual * _LARGER and len(line.text) <= _LONGEST_HEADING


def _goes_on(before: _Line, line: _Line, usual: float) -> bool:
    """Whether a line belongs to what the one before it belongs to."""
    if _is_heading(before, usual) or _is_heading(line, usual):
        return before.height == line.height and before.page == line.page and _is_close(before, line)
    if before.page != line.page:
        return not before.text.endswith((".", "!", "?", ":"))
    return _is_close(before, line)


def _is_close(before: _Line, line: _Line) -> bool:
    return 0 <= before.bottom - line.bottom <= _PARAGRAPH_GAP * max(before.height, line.height)


def _joined(block: str, text: str) -> str:
    if block.endswith(_HYPHENS) and text[:1].islower():
        return block[:-1] + text
    return f"{block} {text}"
