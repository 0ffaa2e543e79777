"""Words and sentences, as writing and checking see them."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import snowballstemmer

_STEMMER: Final = snowballstemmer.stemmer("english")
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[A-Z0-9])|\n+")
_MARKUP: Final = re.compile(r"^\s*(?:#{1,6}\s+|[-*+]\s+|\d{1,2}[.)]\s+|>\s*)")
_LONGEST_TEXT: Final = 20_000
STOP_WORDS: Final = frozenset(
    [
        "a",
        "about",
        "after",
        "again",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "for",
        "from",
        "further",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "me",
        "more",
        "most",
        "my",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "please",
        "same",
        "she",
        "should",
        "so",
        "some",
        "still",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "hi",
        "hello",
        "thanks",
        "thank",
        "regards",
        "since",
        "cannot",
        "get",
        "got",
        "gets",
        "let",
    ]
)


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    stemmed: str = _STEMMER.stemWord(word)
    return stemmed


def terms(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning."""
    found = (match.group().lower() for match in _WORD.finditer(text[:_LONGEST_TEXT]))
    return frozenset(_stem(word) for word in found if word not in STOP_WORDS and len(word) > 1)


def sentences(text: str) -> Iterator[str]:
    """Sentences and list items in order, without list and heading marks; headings are left out."""
    for part in _SENTENCE_END.split(text[:_LONGEST_TEXT]):
        if part.lstrip().startswith("#"):
            continue
        sentence = " ".join(_MARKUP.sub("", part).replace("**", "").replace("`", "").split())
        if len(sentence) > 2:
            yield sentence


def shortened(text: str, limit: int) -> str:
    """At most `limit` words, cut at a word with an ellipsis."""
    found = text.split()
    return " ".join(found) if len(found) <= limit else " ".join(found[:limit]) + " …"
