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

# Scripts written without spaces. Two neighbouring characters are the usual stand-in for a word there.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]++|[^\W_{_UNSPACED}]++")
# Host names, addresses, versions, error codes. Possessive, so that a long run is looked at once.
_NAME: Final = re.compile(r"(?<![^\W_])[^\W_]++(?:[-._:][^\W_]++)++")
_PAIRED: Final = re.compile(f"[{_UNSPACED}]")
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
    for name in _NAME.findall(normal):
        folded = name.casefold()
        if len(folded) <= LONGEST_WORD and any(map(str.isdigit, folded)):
            yield Word(folded, name)
    for run in _WORD.findall(normal):
        if run.isascii() or not _PAIRED.match(run):
            # Only what can be a word is worth remembering.
            yield from _remembered(run) if len(run) <= LONGEST_WORD else _of_run(run)
        else:
            yield from _pairs(run)


def lexemes(text: str) -> frozenset[str]:
    """What of those words is compared, each once."""
    return frozenset(word.lexeme for word in words(text))


def _of_run(run: str) -> tuple[Word, ...]:
    parts = _CAMEL.split(run)
    runs = (run, *parts) if len(parts) > 1 else (run,)
    return tuple(Word(_stemmer.stem(folded), part) for part in runs if (folded := _folded(part)))


_remembered: Final = lru_cache(maxsize=32_768)(_of_run)


def _folded(run: str) -> str:
    """Nothing, where the run says nothing."""
    folded = run.casefold()
    return "" if len(folded) > LONGEST_WORD or folded in _STOP_WORDS else folded


def _pairs(run: str) -> Iterator[Word]:
    if len(run) == 1:
        yield Word(run, run)
    for start in range(len(run) - 1):
        pair = run[start : start + 2]
        yield Word(pair, pair)
