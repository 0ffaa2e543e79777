"""Word documents as Markdown, by way of the HTML that their styles stand for."""

import io
import zipfile
from typing import Final
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

import mammoth
from defusedxml.common import DefusedXmlException
from defusedxml.sax import parse

from converting.errors import Unconvertible
from converting.html import to_markdown

_MOST_FILES: Final = 10_000
_MOST_XML_BYTES: Final = 64 << 20
_STYLES: Final = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='HTML Preformatted'] => pre:fresh
"""


def to_text(content: bytes) -> str:
    """Markdown; pictures are left out."""
    try:
        _check(content)
        html = mammoth.convert_to_html(
            io.BytesIO(content), style_map=_STYLES, convert_image=lambda _: []
        ).value
    except (zipfile.BadZipFile, KeyError, NotImplementedError, OSError, RuntimeError) as problem:
        # RuntimeError: a file in the archive is encrypted.
        raise Unconvertible("is no Word document, or damaged") from problem
    return to_markdown(html)


def _check(content: bytes) -> None:
    """Refuse what would unpack or expand without end, before anything reads it as a document."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        xml = [each for each in parts if each.filename.endswith((".xml", ".rels"))]
        # What a header says is the most that is ever unpacked of its file.
        if len(parts) > _MOST_FILES or sum(each.file_size for each in xml) > _MOST_XML_BYTES:
            raise Unconvertible(f"unpacks to more than {_MOST_XML_BYTES >> 20} MiB of text")
        for each in xml:
            with archive.open(each) as part:
                try:
                    parse(part, ContentHandler(), forbid_dtd=True)
                except DefusedXmlException:
                    raise Unconvertible("declares XML entities, which no Word document does") from None
                except SAXException:
                    raise Unconvertible("is no Word document, or damaged") from None
