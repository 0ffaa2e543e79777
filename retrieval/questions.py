"""What is asked for: a text's words, the rarest of which decide, and the score they add up to."""

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from retrieval.documents import TITLE_WEIGHT, weigh_words
from retrieval.words import words

CANDIDATE_BUDGET: Final = 3_000
"""How many documents the seed words may occur in together: what bounds the work of one search."""

_MAX_TERMS: Final = 32
_SUBJECT_COUNTS: Final = 3.0
_SUBJECT_CHARACTERS: Final = 4_096
_DESCRIPTION_CHARACTERS: Final = 1_500
# More than floating point loses, and the single precision of kept weights.
_ROUNDING: Final = 1e-6
# Added to what a verbatim copy would score. It keeps one shared word of a short question from looking sure.
_DOUBT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How many of the searched documents there are, and in how many of them each word is (absent: none)."""

    corpus: int
    documents: Mapping[str, int]

    def rarity(self, lexeme: str) -> float:
        """Give the word's inverse document frequency."""
        having = min(self.documents.get(lexeme, 0), self.corpus)
        return math.log(1 + (self.corpus - having + 0.5) / (having + 0.5))


@dataclass(frozen=True, slots=True)
class Question:
    """The words of a subject and a description, before anything is known of their rarity."""

    counts: Mapping[str, float]
    """How often each lexeme is asked for."""
    copy: Mapping[str, float]
    """The lexemes' weights in a document that says the same, word for word."""
    shown: Mapping[str, str]
    """The lexemes as the question spells them."""

    @property
    def lexemes(self) -> Collection[str]:
        return self.counts.keys()


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search: which words, how much each counts, and how to read the sum."""

    seeds: tuple[str, ...]
    """Documents with none of these are not found by words. Rarest first."""
    together: bool
    """Documents without all of the seeds are not found: each of them alone is in too many."""
    weights: Mapping[str, float]
    """A document's sum is that of these times its own weights. The weightiest first."""
    sure: float
    """The sum that would leave no doubt."""
    shown: Mapping[str, str]

    def score(self, summed: float) -> float:
        """Read a document's sum as 0 (nothing in common) to 1: the share of what a verbatim copy would get.

        Words of the question that no document has count as not found, so that a question about something
        unheard of scores low even where its everyday words match.
        """
        return min(1.0, max(0.0, summed / self.sure))

    def share(self, summed: float) -> float:
        """Read a sum as 0 to 1 without doubt: 1 is as much as a verbatim copy of the question gets."""
        verbatim = self.sure - _DOUBT
        return min(1.0, max(0.0, summed / verbatim)) if verbatim > 0 else 0.0

    def sum_of(self, score: float) -> float:
        """What a document's sum must be at least to be read as this score; a hair less than exactly that."""
        return score * self.sure * (1 - _ROUNDING)

    def matched(self, lexemes: Collection[str]) -> tuple[str, ...]:
        """Name the words found in a document as the question spells them, the weightiest first."""
        return tuple(dict.fromkeys(self.shown[each] for each in self.weights if each in lexemes))


def read(subject: str, description: str) -> Question:
    """Take the words of a question. Only the beginning of the description is weighed."""
    cut = tuple(words(subject[:_SUBJECT_CHARACTERS])), tuple(words(description[:_DESCRIPTION_CHARACTERS]))
    counts: dict[str, float] = {}
    shown: dict[str, str] = {}
    for part, times in zip(cut, (_SUBJECT_COUNTS, 1.0), strict=True):
        for word in part:
            counts[word.lexeme] = counts.get(word.lexeme, 0.0) + times
            shown.setdefault(word.lexeme, word.shown)
    return Question(counts, weigh_words(zip(cut, (TITLE_WEIGHT, 1.0), strict=True)), shown)


def plan(question: Question, frequencies: Frequencies) -> Plan:
    """Decide how to search; without seeds when no document has any of the words."""
    rarity = {lexeme: frequencies.rarity(lexeme) for lexeme in question.lexemes}
    rarest_first = sorted(question.lexemes, key=lambda lexeme: (-rarity[lexeme], lexeme))
    known = [lexeme for lexeme in rarest_first if frequencies.documents.get(lexeme, 0) > 0][:_MAX_TERMS]
    unheard = [lexeme for lexeme in rarest_first if frequencies.documents.get(lexeme, 0) <= 0][:_MAX_TERMS]
    weights = {lexeme: question.counts[lexeme] * rarity[lexeme] for lexeme in (*known, *unheard)}
    verbatim = sum(weight * question.copy.get(lexeme, 0.0) for lexeme, weight in weights.items())
    seeds, together = _within_budget(known, frequencies)
    return Plan(
        seeds=seeds,
        together=together,
        weights={lexeme: weights[lexeme] for lexeme in sorted(known, key=lambda each: -weights[each])},
        sure=verbatim + _DOUBT,
        shown=question.shown,
    )


def _within_budget(rarest_first: list[str], frequencies: Frequencies) -> tuple[tuple[str, ...], bool]:
    """Take the rarest words that together stay within the budget.

    Where the rarest one alone does not, take as many as are likely in so few documents all at once.
    """
    counts = [frequencies.documents[lexeme] for lexeme in rarest_first]
    if counts and counts[0] > CANDIDATE_BUDGET:
        expected, taken = float(counts[0]), 1
        while expected > CANDIDATE_BUDGET and taken < len(counts):
            expected *= min(1.0, counts[taken] / frequencies.corpus)
            taken += 1
        return tuple(rarest_first[:taken]), True
    fitting = sum(spent <= CANDIDATE_BUDGET for spent in itertools.accumulate(counts))
    return tuple(rarest_first[:fitting]), False
