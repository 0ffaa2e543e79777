"""Cuts an article along its headings."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser

from services.knowledge.model import Passage

SEARCHED_CHARACTERS: Final = 262_144
"""The rest of a longer article is kept and read, but not found."""
MAX_PASSAGES: Final = 500
"""Likewise."""
MAX_CHARACTERS: Final = 2_000
"""A longer section becomes several passages, cut between its paragraphs."""

# Reading brackets and tags takes time squared in the length of what is nested badly. Paragraphs are shorter.
_LONGEST_FORMATTED: Final = 2_000
_LONGEST_HTML: Final = 10_000
_NOT_IN_A_SLUG: Final = re.compile(r"[^\w\- ]")

_blocks: Final = MarkdownIt("commonmark").enable("table").disable("inline")
_inline: Final = MarkdownIt("commonmark")


def passages(body: str) -> list[Passage]:
    """Cut Markdown into plain-text passages; sections without text are left out.

    An article without any text is one empty passage, found by its title.
    """
    found: list[Passage] = []
    for headings, anchor, blocks in _sections(_blocks.parse(body[:SEARCHED_CHARACTERS])):
        for text in _pieces(blocks):
            if len(found) == MAX_PASSAGES:
                return found
            found.append(Passage(headings, anchor, text))
    return found or [Passage((), "", "")]


def _sections(tokens: Sequence[Token]) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """Yield the headings, the anchor and the paragraphs of every section."""
    path: dict[int, str] = {}
    anchor = ""
    anchors: dict[str, int] = {}
    start = 0
    for at, token in enumerate(tokens):
        if token.type != "heading_open" or token.level:
            continue
        yield tuple(path.values()), anchor, _paragraphs(tokens[start:at])
        depth = int(token.tag.removeprefix("h"))
        heading = _plain(tokens[at + 1].content)
        path = {level: above for level, above in path.items() if level < depth} | {depth: heading}
        anchor = _anchor(heading, anchors)
        start = at + 3
    yield tuple(path.values()), anchor, _paragraphs(tokens[start:])


def _paragraphs(tokens: Sequence[Token]) -> list[str]:
    """Give the text of each block: paragraphs, list items with their marks, table rows, code."""
    blocks: list[str] = []
    mark = ""
    row: list[str] = []
    for token in tokens:
        match token.type:
            case "list_item_open":
                mark = f"{token.info}. " if token.info else "- "
            case "th_open" | "td_open":
                row.append("")
            case "inline" if row:
                row[-1] = _plain(token.content)
            case "tr_close":
                blocks.append(" | ".join(row))
                row = []
            case "inline":
                blocks.append(mark + _plain(token.content))
                mark = ""
            case "fence" | "code_block":
                blocks.append(token.content.rstrip())
            case "html_block":
                blocks.append(_text_of_html(token.content))
            case _:
                pass
    return [block for block in blocks if block.strip()]


def _plain(content: str) -> str:
    if len(content) > _LONGEST_FORMATTED:
        return content
    [line] = _inline.parseInline(content)
    return "".join(_text_of(child) for child in line.children or ()).strip()


def _text_of(token: Token) -> str:
    match token.type:
        case "text" | "code_inline" | "text_special":
            return token.content
        case "image":
            return "".join(_text_of(child) for child in token.children or ())
        case "softbreak" | "hardbreak":
            return "\n"
        case _:
            return ""


def _text_of_html(content: str) -> str:
    if len(content) > _LONGEST_HTML:
        return ""
    body = LexborHTMLParser(content).body
    return body.text(separator=" ", strip=True) if body else ""


def _pieces(blocks: Sequence[str]) -> Iterator[str]:
    """Join paragraphs to passages that are not too long."""
    piece = ""
    for block in blocks:
        for part in _parts(block):
            if piece and len(piece) + len(part) >= MAX_CHARACTERS:
                yield piece
                piece = ""
            piece = f"{piece}\n{part}" if piece else part
    if piece:
        yield piece


def _parts(block: str) -> Iterator[str]:
    start = 0
    while len(block) - start > MAX_CHARACTERS:
        end = start + MAX_CHARACTERS
        space = block.rfind(" ", start, end)
        cut = space if space > start else end
        yield block[start:cut].strip()
        start = cut
    yield block[start:].strip()


def _anchor(heading: str, anchors: dict[str, int]) -> str:
    """Name a heading as GitHub and most others do; the second of the same name ends in `-1`."""
    slug = _NOT_IN_A_SLUG.sub("", heading.lower()).replace(" ", "-")
    times = anchors.get(slug, 0)
    anchors[slug] = times + 1
    return f"{slug}-{times}" if times else slug
