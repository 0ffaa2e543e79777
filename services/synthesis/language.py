"""Words and sentences, as writing and checking see them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from retrieval.words import lexemes

# Far more than a language model is shown of one text; what a mail thread repeats beyond it is nothing new.
_LONGEST_TEXT: Final = 32_768
_LONGEST_SENTENCE: Final = 512
_LONGEST_QUOTED_WORD: Final = 120
_LONGEST_ABBREVIATION: Final = 10
# What a person does not see and a language model reads: control characters but tab and newline, soft hyphens,
# fillers, zero-width and bidirectional marks, variation selectors, tag characters.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]+"
)
# The stop words have "do" and "not"; the pieces of "don't" are in no list.
_CONTRACTED: Final = re.compile(r"\b\w{1,7}n['\u2019]t\b", re.IGNORECASE)
_LINE_MARK: Final = re.compile(r"^\s*(?:[-*+•]\s+|\d{1,2}[.)]\s+|>\s*)+")
_LINK: Final = re.compile(r"!?\[([^\]\[]*)\]\([^)\s\[]*\)")
_EMPHASIS: Final = re.compile(r"\*{1,3}(?=\S)([^*\n]+?)(?<=\S)\*{1,3}|`([^`\n]+)`")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[#]?[A-Z0-9])|(?<=[\u3002\uff01\uff1f])")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|e\.g|i\.e|incl|excl|approx|ext|nr|vs|mr|mrs|ms|dr|tel|resp)\.$",
    re.IGNORECASE,
)


def visible(text: str) -> str:
    """The text without characters that a person does not see."""
    return _INVISIBLE.sub("", text)


def terms(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning."""
    return _terms_of_sentence(text) if len(text) <= _LONGEST_SENTENCE else _terms(text)


def _terms(text: str) -> frozenset[str]:
    # One character may stand for eighteen: cut again, or a text of them takes eighteen times as long.
    plain = unicodedata.normalize("NFKC", text[:_LONGEST_TEXT])[:_LONGEST_TEXT]
    if "'" in plain or "\u2019" in plain:
        plain = _CONTRACTED.sub(" ", plain)
    return lexemes(plain)


@lru_cache(maxsize=1024)
def _terms_of_sentence(text: str) -> frozenset[str]:
    """Writer and checker look at each sentence of a brief's evidence several times."""
    return _terms(text)


def lines(text: str) -> Iterator[str]:
    """The lines of prose and lists, without Markdown; headings, tables and code blocks are left out."""
    fenced = False
    for line in filter(str.strip, text[:_LONGEST_TEXT].splitlines()):
        mark = line.lstrip()[:3]
        if mark in {"```", "~~~"}:
            fenced = not fenced
        elif not fenced and mark[:1] not in {"#", "|"}:
            plain = _EMPHASIS.sub(r"\1\2", _LINK.sub(r"\1", _LINE_MARK.sub("", line)))
            if plain.strip():
                yield " ".join(plain.split())


def sentences(text: str) -> Iterator[str]:
    """The sentences and list items of a text, in order."""
    for line in lines(text):
        begun = ""
        for part in _SENTENCE_END.split(line):
            begun = f"{begun} {part}".strip()
            if not _ABBREVIATION.search(begun, max(0, len(begun) - _LONGEST_ABBREVIATION)):
                yield begun
                begun = ""
        if begun:
            yield begun


def fitting(found: Iterable[str], limit: int) -> str:
    """The first whole sentences of at most `limit` words together; a first one that is longer is cut."""
    kept: list[str] = []
    left = limit
    for sentence in found:
        left -= len(sentence.split())
        if left < 0:
            break
        kept.append(sentence)
    return shortened(" ".join(kept) or next(iter(found), ""), limit)


def shortened(text: str, limit: int) -> str:
    """At most `limit` words, cut with an ellipsis, at the end of a clause if there is one."""
    found = [word[:_LONGEST_QUOTED_WORD] for word in text.split()]
    if len(found) <= limit:
        return " ".join(found)
    ends = [n for n, word in enumerate(found[:limit], 1) if word[-1] in ",;:)" and n > limit // 2]
    return " ".join(found[: max(ends, default=limit)]).rstrip(",;:") + " …"
