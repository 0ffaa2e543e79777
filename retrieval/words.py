"""Cuts a text into the words that are compared."""

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import snowballstemmer

LONGEST_WORD: Final = 64
"""Longer runs are base64, hashes and minified code: nobody searches for them."""
# Nor is there much use in remembering what is in these.
_LONGEST_KNOWN: Final = 24

# Scripts written without spaces. Two neighbouring characters are the usual stand-in for a word there.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]++|[^\W_{_UNSPACED}]++")
# Host names, addresses, versions, error codes. Possessive, so that a long run is looked at once.
_NAME: Final = re.compile(r"(?<![^\W_])[^\W_]++(?:[-._:][^\W_]++)++")
_DIGIT: Final = re.compile(r"[0-9]")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_STOP_WORDS: Final = frozenset(
    """
    a about above after again against all am an and any are as at be because been before being below between
    both but by can did do does doing don down during each few for from further had has have having he her
    here hers herself him himself his how i if in into is it its itself just me more most my myself no nor not
    now of off on once only or other our ours ourselves out over own s same she should so some such t than
    that the their theirs them themselves then there these they this those through to too under until up very
    was we were what when where which while who whom why will with you your yours yourself yourselves
    d ll m re ve
    """.split()  # noqa: SIM905 - one word a line would be 140 lines
)


class Word(NamedTuple):
    """`lexeme` is compared, `shown` is how the text spells it."""

    lexeme: str
    shown: str


class _Stemmer(threading.local):
    """The stemmer keeps its word in itself: one for each thread."""

    def __init__(self) -> None:
        self._english = snowballstemmer.stemmer("english")

    def stem(self, word: str) -> str:
        stemmed: str = self._english.stemWord(word)
        return stemmed


_stemmer: Final = _Stemmer()


def words(text: str) -> Iterator[Word]:
    """Yield the words that carry meaning; names such as `fra-prn-02` also whole, CamelCase also in parts."""
    normal = unicodedata.normalize("NFKC", text)
    yield from _names(normal)
    for run in _WORD.findall(normal):
        yield from _words_of(run)


def lexemes(text: str) -> frozenset[str]:
    """What of those words is compared, each once."""
    normal = unicodedata.normalize("NFKC", text)
    runs = set(_WORD.findall(normal))
    long = {run for run in runs if len(run) > _LONGEST_KNOWN}
    return frozenset(name.lexeme for name in _names(normal)).union(
        *map(_known_lexemes_of, runs - long),
        *(_lexemes_of(run) for run in long),
    )


def _names(normal: str) -> Iterator[Word]:
    if normal.isascii() and not _DIGIT.search(normal):
        return
    for match in _NAME.finditer(normal):
        name = match.group()
        folded = name.casefold()
        if len(folded) <= LONGEST_WORD and any(character.isdigit() for character in folded):
            yield Word(folded, name)


def _lexemes_of(run: str) -> frozenset[str]:
    return frozenset(word.lexeme for word in _words_of(run))


@lru_cache(maxsize=20_000)
def _known_lexemes_of(run: str) -> frozenset[str]:
    """Texts use the same words over and over, and stemming one takes far longer than looking it up."""
    return _lexemes_of(run)


def _words_of(run: str) -> Iterator[Word]:
    if _IS_UNSPACED.match(run):
        yield from _pairs(run)
        return
    yield from _word(run)
    parts = _CAMEL.split(run)
    if len(parts) > 1:
        for part in parts:
            yield from _word(part)


def _word(run: str) -> Iterator[Word]:
    folded = run.casefold()
    if len(folded) <= LONGEST_WORD and folded not in _STOP_WORDS:
        yield Word(_stem(folded), run)


def _pairs(run: str) -> Iterator[Word]:
    if len(run) == 1:
        yield Word(run, run)
    for start in range(len(run) - 1):
        pair = run[start : start + 2]
        yield Word(pair, pair)


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    return _stemmer.stem(word)
