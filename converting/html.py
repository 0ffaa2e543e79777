"""HTML of pages and of word processors as Markdown: what a reader sees, without what surrounds it."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from bs4.element import Tag
from markdownify import ATX, MarkdownConverter
from selectolax.lexbor import LexborHTMLParser, LexborNode

from converting.errors import Unconvertible

_UNREAD: Final = (
    "script,style,noscript,template,head,nav,aside,footer,iframe,object,embed,svg,canvas,form,dialog,"
    "button,[hidden],[aria-hidden=true],[role=navigation],[role=banner],[role=contentinfo],[role=search]"
)
_HIDDEN: Final = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"\b(?:language|lang|brush:)-?\s*([\w+#-]+)")
_FOLLOWED: Final = {"http", "https", "mailto", "tel", "ftp", ""}
_GAP: Final = re.compile(r"\n{3,}")
# Beyond this the conversion, which recurses, does not come to an end; no page that people read is so deep.
_DEEPEST: Final = 150


def to_markdown(html: str, *, base_url: str = "") -> str:
    """Headings, lists, tables and code stay; scripts, styles, navigation and what is hidden go.

    Links become absolute by `base_url`, without which relative ones stay as they are. Nested beyond reason:
    Unconvertible.
    """
    tree = LexborHTMLParser(html)
    _remove(tree.css(_UNREAD))
    _remove([node for node in tree.css("[style]") if _HIDDEN.search(node.attributes.get("style") or "")])
    mains = tree.css("main,[role=main]")
    shown = mains[0] if len(mains) == 1 else tree.body
    if shown is None:
        return ""
    for node in shown.css("[href],[src]"):
        for name in ("href", "src"):
            if name in node.attributes:
                _make_absolute(node, name, base_url)
    _check_depth(shown)
    markdown = str(_CONVERTER.convert(shown.html or ""))
    return _GAP.sub("\n\n", "\n".join(line.rstrip() for line in markdown.splitlines())).strip()


def _remove(nodes: list[LexborNode]) -> None:
    """What lies within another of them is gone with it, and must not be touched again."""
    gone: set[int] = set()
    for node in nodes:
        if node.mem_id not in gone:
            gone.update(inner.mem_id for inner in node.traverse())
            node.decompose()


def _make_absolute(node: LexborNode, name: str, base_url: str) -> None:
    """Scripts and data in place of an address are taken out."""
    try:
        address = urljoin(base_url, (node.attributes.get(name) or "").strip())
        followed = urlsplit(address).scheme.lower() in _FOLLOWED
    except ValueError:
        followed, address = False, ""
    if followed:
        node.attrs[name] = address
    else:
        del node.attrs[name]


def _check_depth(root: LexborNode) -> None:
    depth, node = 0, root.first_child
    while node is not None and node.mem_id != root.mem_id:
        if depth > _DEEPEST:
            raise Unconvertible("is nested too deeply to be read")
        if node.first_child is not None:
            node, depth = node.first_child, depth + 1
            continue
        while node.next is None:
            parent = node.parent
            if parent is None or parent.mem_id == root.mem_id:
                return
            node, depth = parent, depth - 1
        node = node.next


def _language(pre: Tag) -> str:
    """As highlighters note it, at the block or at the code in it."""
    for element in (pre, pre.find("code")):
        classes: Mapping[str, object] = element.attrs if isinstance(element, Tag) else {}
        said = classes.get("class") or ""
        found = _LANGUAGE.search(" ".join(map(str, said)) if isinstance(said, list) else str(said))
        if found:
            return found[1]
    return ""


_CONVERTER: Final = MarkdownConverter(
    heading_style=ATX, bullets="-", table_infer_header=True, code_language_callback=_language
)
