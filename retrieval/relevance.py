"""Reads words and meaning together as one score."""

from collections.abc import Collection
from typing import Final

# At equal scores about equally many results are right, whether words alone or words and meaning made them.
# Taken from logistic regressions of both on judged reports of trackers, where words tell most, and on judged
# questions, where meaning does.
WORDS: Final = 0.6
MEANING: Final = 0.85
_OFFSET: Final = 0.31
_EMBEDDED_SHARE: Final = 0.9


def relevance(words: float, meaning: float | None) -> float:
    """Read both as 0 (nothing in common) to 1: what words alone would earn for being as surely the same.

    `words` is a plan's score, `meaning` the cosine of two vectors, None where there is none. May be below 0,
    which orders the unlike among themselves.
    """
    if meaning is None:
        return words
    return min(1.0, WORDS * words + MEANING * max(0.0, meaning) - _OFFSET)


def comparable_by_meaning(cosines: Collection[float | None]) -> bool:
    """Say by what words found whether enough has a vector: it would win over what is better and has none."""
    return sum(cosine is not None for cosine in cosines) >= _EMBEDDED_SHARE * len(cosines)
