"""Cutting articles: along headings, never too long, always soon."""

import pytest

from services.knowledge.model import Passage
from services.knowledge.passages import MAX_CHARACTERS, MAX_PASSAGES, passages

MEGABYTE = 1_048_576


def test_a_passage_has_the_headings_above_it() -> None:
    body = "Intro\n\n# One\n\na\n\n### Deep\n\nb\n\n## Two\n\nc\n\n# Three\n\nd\n\nSetext\n======\n\ne"

    assert passages(body) == [
        Passage((), "", "Intro"),
        Passage(("One",), "one", "a"),
        Passage(("One", "Deep"), "deep", "b"),
        Passage(("One", "Two"), "two", "c"),
        Passage(("Three",), "three", "d"),
        Passage(("Setext",), "setext", "e"),
    ]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Stop the spooler", "stop-the-spooler"),
        ("A & B's `code`", "a--bs-code"),
        ("Cause 1: SIP_ALG (again)", "cause-1-sip_alg-again"),
        ("Größe ändern", "größe-ändern"),
        ("[Link](https://x.example) *here*", "link-here"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert passages(f"# {heading}\n\ntext")[0].anchor == anchor


def test_headings_of_one_name_have_numbered_anchors() -> None:
    body = "# Steps\n\na\n\n# Steps\n\nb\n\n# Steps\n\nc"

    assert [passage.anchor for passage in passages(body)] == ["steps", "steps-1", "steps-2"]


def test_markup_becomes_plain_text() -> None:
    body = """Some *emphasis*, `code` &amp; a [link](https://x.example) ![picture](p.png).

1. one
2. two
   - inside

```sh
net stop "spooler"   # literally *this*
```

| Port | Use |
|------|-----|
| 9000 | `rtp` |

> quoted

<div><p>From <b>HTML</b></p></div>
"""

    assert passages(body)[0].text.splitlines() == [
        "Some emphasis, code & a link picture.",
        "1. one",
        "2. two",
        "- inside",
        'net stop "spooler"   # literally *this*',
        "Port | Use",
        "9000 | rtp",
        "quoted",
        "From HTML",
    ]


def test_what_looks_like_a_heading_in_code_or_a_quote_cuts_nothing() -> None:
    body = "```\n# comment\n```\n\n> # quoted\n\ntext"

    assert [passage.headings for passage in passages(body)] == [()]


def test_a_long_section_is_cut_between_its_paragraphs() -> None:
    paragraph = "word " * 150
    body = "# Long\n\n" + "\n\n".join([paragraph] * 8)

    cut = passages(body)

    assert len(cut) == 4
    assert {passage.anchor for passage in cut} == {"long"}
    assert all(len(passage.text) <= MAX_CHARACTERS for passage in cut)
    assert sum(passage.text.count("word") for passage in cut) == 8 * 150


def test_an_overlong_paragraph_is_taken_as_it_stands() -> None:
    """Reading its markup could take forever."""
    assert passages("*word* " * 10)[0].text.startswith("word word")
    assert passages("*word* " * 1000)[0].text.startswith("*word* *word*")


def test_an_article_without_text_is_one_empty_passage() -> None:
    for body in ("", "  \n\n", "# Only\n\n## Headings", "<br>", "---"):
        assert passages(body) == [Passage((), "", "")]


@pytest.mark.parametrize(
    "unit",
    [
        "word ",
        "[",
        "![",
        "<",
        "> ",
        "a\n",
        "# h\n\na\n\n",
        "<div>",
        "<div>\n\n",
        "- a\n",
        "|a|b|\n|-|-|\n",
        "*a **b ",
    ],
)
def test_a_megabyte_of_anything_is_cut_into_a_bounded_number(unit: str) -> None:
    cut = passages(unit * (MEGABYTE // len(unit)))

    assert 1 <= len(cut) <= MAX_PASSAGES
    assert all(len(passage.text) <= MAX_CHARACTERS for passage in cut)
