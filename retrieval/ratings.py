"""What people think of a document, as a factor of its score."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

STRONGEST: Final = 0.15
"""How far ratings move a score at most, either way."""

# As if one person had found it helpful and another had not: a single word moves a third of the way.
_PRIOR: Final = 2.0
# Questions that share less share chance words.
_LEAST_ALIKE: Final = 0.2
_UNNOTICED: Final = 0.005


@dataclass(frozen=True, slots=True)
class Voice:
    """One person's word, and how like the present question the one is on which it was given: 0 to 1."""

    helpful: bool
    likeness: float


@dataclass(frozen=True, slots=True)
class Standing:
    """`boost` names what the factor comes from; none where it is 1."""

    factor: float = 1.0
    boost: str | None = None


UNRATED: Final = Standing()


def standing(voices: Iterable[Voice]) -> Standing:
    """Weigh each word by the likeness of its question; whoever takes one back leaves it as it was before."""
    counted = [each for each in voices if each.likeness >= _LEAST_ALIKE]
    heard = sum(each.likeness for each in counted)
    balance = sum(each.likeness if each.helpful else -each.likeness for each in counted)
    moved = STRONGEST * balance / (heard + _PRIOR)
    if abs(moved) < _UNNOTICED:
        return UNRATED
    return Standing(1 + moved, "rated_helpful" if moved > 0 else "rated_unhelpful")
