"""PDF, Word and HTML files as articles: what becomes of them, and what is told of those that are none."""

import pytest

from converting.documents import MOST_BYTES, Document, convert
from converting.errors import Unconvertible
from tests.converting.documents import LONG, pdf, scanned_pdf, word, word_with

BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><x>&b;</x>"
OUTSIDE = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>'


def test_a_pdf_has_its_larger_lines_as_headings_and_its_paragraphs_whole() -> None:
    document = convert("vpn.pdf", pdf())

    assert document.title == "VPN drops every hour"
    assert document.body.split("\n\n") == [
        "# VPN drops every hour",
        "## What is seen",
        LONG,
        LONG,
        "## What helps",
        "1. Open the console.",
        "2. Set both to 28,800 s.",
        "\\# not a heading",
    ]


def test_a_pdf_that_says_its_title_has_it() -> None:
    assert convert("vpn.pdf", pdf(title="Tunnels")).title == "Tunnels"


def test_a_word_document_has_its_headings_lists_and_tables() -> None:
    assert convert("scan.docx", word()) == Document(
        "Scan to mail fails",
        "# Scan to mail fails\n\n# Cause\n\nBasic authentication is off.\n\n- Since March\n\n"
        "| Model | Port |\n| --- | --- |\n| MX-3 | 587 |",
    )


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (b"<title>Caf\xc3\xa9 &amp; Co</title><p>x", "Café & Co"),
        (b"<meta charset=iso-8859-1><title>Caf\xe9</title><p>x", "Café"),
        (b"<title>Caf\xe9</title><p>x", "Café"),
        ("<title>Café</title><p>x".encode("utf-16"), "Café"),
        (b"<h2>Reset_it</h2><p>x", "Reset_it"),
        (b"<p>x", "page"),
    ],
)
def test_html_is_read_in_whatever_encoding(content: bytes, title: str) -> None:
    assert convert("page.htm", content).title == title


def test_what_it_is_counts_and_not_what_its_name_says() -> None:
    assert convert("really-a-pdf.docx", pdf()).title == "VPN drops every hour"
    assert convert("really-word.html", word()).title == "Scan to mail fails"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdf", pdf(password="secret"), "is encrypted: save it without a password"),
        ("a.pdf", scanned_pdf(), "has no text: scanned?"),
        ("a.pdf", b"plain text", "is no PDF, whatever its name says"),
        ("a.pdf", b"%PDF-1.7\nrubbish", "is no PDF, or damaged"),
        ("a.pdf", pdf()[:700], "is no PDF, or damaged"),
        ("a.pdf", pdf(pages=1_001), "has 1,001 pages"),
        ("a.pdf", b"", "is empty"),
        ("a.docx", b"PK\x03\x04rubbish", "is no Word document, or damaged"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is encrypted, or of an old Word"),
        ("a.docx", word_with({"word/document.xml": BOMB}), "declares XML entities"),
        ("a.docx", word_with({"word/document.xml": BOMB.decode().encode("utf-16")}), "declares XML entities"),
        ("a.docx", word_with({"word/document.xml": OUTSIDE}), "declares XML entities"),
        ("a.docx", word_with({"word/document.xml": b"<broken"}), "is no Word document, or damaged"),
        ("a.docx", word_with({"word/x.xml": b" " * (65 << 20)}), "unpacks to more than 64 MiB"),
        ("a.html", b"<script>x</script>", "has no text"),
        ("a.html", b"\x89PNG\r\n\0\0\0\0", "is no text"),
        ("a.html", b"<p>x" * (3 << 20), "is larger than 8 MiB"),
        ("a.xlsx", b"text", "is of a kind that is not read"),
        ("a.html", b"x" * (MOST_BYTES + 1), "is larger than 64 MiB"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_read_is_told_with_the_reason(name: str, content: bytes, reason: str) -> None:
    with pytest.raises(Unconvertible) as raised:
        convert(name, content)

    assert str(raised.value).startswith(reason)
