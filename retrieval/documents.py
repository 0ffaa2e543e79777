"""What each word of a document weighs: the half of BM25 that is known when the document is written."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from retrieval.words import Word, words

VERSION: Final = 1
"""Of everything that decides what a document's words and weights are; weights of two versions do not mix."""

TITLE_WEIGHT: Final = 2.0

_MAX_CHARACTERS: Final = 32_768
_MAX_WORDS: Final = 4_000
_SATURATION: Final = 1.2
_LENGTH_DISCOUNT: Final = 0.75
# In words. A constant where BM25 has the mean length, so that a document's weights never go stale. Between
# the 60 of tickets and the 250 of long reports the ranking hardly depends on it.
_USUAL_LENGTH: Final = 80.0


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a document; a word in it counts `weight` times."""

    text: str
    weight: float = 1.0


def weigh(fields: Iterable[Field]) -> dict[str, float]:
    """Weigh a document's lexemes, each between 0 and 1: more when frequent, less in a long document."""
    return weigh_words((words(field.text[:_MAX_CHARACTERS]), field.weight) for field in fields)


def weigh_words(fields: Iterable[tuple[Iterable[Word], float]]) -> dict[str, float]:
    """Weigh the lexemes of a document whose fields have been cut into words."""
    counts: defaultdict[str, float] = defaultdict(float)
    for cut, weight in fields:
        for lexeme, _ in cut:
            if lexeme in counts or len(counts) < _MAX_WORDS:
                counts[lexeme] += weight
    length = sum(counts.values())
    halfway = _SATURATION * (1 - _LENGTH_DISCOUNT + _LENGTH_DISCOUNT * length / _USUAL_LENGTH)
    return {lexeme: count / (count + halfway) for lexeme, count in counts.items()}


def lexemes(fields: Iterable[Field]) -> Collection[str]:
    """What a document is found by, weighed or not."""
    return weigh(fields).keys()


def merged(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Weigh a whole by its parts: each lexeme as in the part where it weighs most."""
    whole: dict[str, float] = {}
    for part in parts:
        for lexeme, weight in part.items():
            if lexeme in whole or len(whole) < _MAX_WORDS:
                whole[lexeme] = max(weight, whole.get(lexeme, 0.0))
    return whole
