"""Reads words and meaning together as one score, by weights and above a floor that may be a client's own."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

# At equal scores about equally many results are right, whether words alone or words and meaning made them.
# Taken from logistic regressions of both on judged reports of trackers, where words tell most, and on judged
# questions, where meaning does.
_WORDS: Final = 0.6
_MEANING: Final = 0.85
_OFFSET: Final = 0.31
CALIBRATED_SHARE: Final = _MEANING / (_WORDS + _MEANING)
"""How much of the weights is meaning's."""
# The cosine of what has nothing in common.
_UNLIKE: Final = _OFFSET / _MEANING
_EMBEDDED_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Weights:
    """What words and meaning count in one score."""

    words: float
    meaning: float

    @classmethod
    def of(cls, meaning_share: float) -> Self:
        """Weigh as calibrated at the calibrated share, and words as they are alone at 0."""
        together = 1 + (_WORDS + _MEANING - 1) * meaning_share / CALIBRATED_SHARE
        return cls(words=together * (1 - meaning_share), meaning=together * meaning_share)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How what is found is scored, and from which score on it counts."""

    meaning_share: float
    floor: float

    @property
    def weights(self) -> Weights:
        return Weights.of(self.meaning_share)


OF_TICKETS: Final = Ranking(CALIBRATED_SHARE, floor=0.18)
"""Below the floor, shared words are more often chance than the same problem: measured on judged duplicates
against questions about something else."""
OF_ARTICLES: Final = Ranking(CALIBRATED_SHARE, floor=0.16)
"""Likewise, measured on judged questions against questions about something else."""


def relevance(words: float, meaning: float | None, weights: Weights) -> float:
    """Read both as 0 (nothing in common) to 1: what words alone would earn for being as surely the same.

    `words` is a plan's score, `meaning` the cosine of two vectors, None where there is none. May be below 0,
    which orders the unlike among themselves.
    """
    if meaning is None:
        return words
    return min(1.0, weights.words * words + weights.meaning * (max(0.0, meaning) - _UNLIKE))


def comparable_by_meaning(cosines: Collection[float | None]) -> bool:
    """Say by what words found whether enough has a vector: it would win over what is better and has none."""
    return sum(cosine is not None for cosine in cosines) >= _EMBEDDED_SHARE * len(cosines)
