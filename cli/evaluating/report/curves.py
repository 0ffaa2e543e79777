"""How often what is above a floor is right, and how often saying nothing is, for every floor."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cli.evaluating.asking import Answers
from cli.evaluating.judgements import Qrels

_STEPS: Final = 100
FLOORS: Final = tuple(step / _STEPS for step in range(_STEPS + 1))


@dataclass(frozen=True, slots=True)
class Curves:
    """At each of `FLOORS`. Precision is None where there is nothing to be right."""

    precision: Sequence[float | None]
    recall: Sequence[float]


def of_results(found: Answers, relevant: Qrels) -> Curves:
    """Every result by itself: right of those above the floor, and of those that are right above it."""
    results = [(each.score, each.document in relevant[query]) for query in found for each in found[query]]
    scores = sorted(score for score, _ in results)
    right = sorted(score for score, is_right in results if is_right)
    wanted = sum(len(relevant[query]) for query in found)
    shown = [len(scores) - bisect_left(scores, floor) for floor in FLOORS]
    rightly = [len(right) - bisect_left(right, floor) for floor in FLOORS]
    return Curves(
        precision=[good / some if some else None for good, some in zip(rightly, shown, strict=True)],
        recall=[good / wanted for good in rightly],
    )


def of_silence(answerable: Answers, unanswerable: Answers) -> Curves:
    with_answer, without = _best(answerable), _best(unanswerable)
    rightly = [bisect_left(without, floor) for floor in FLOORS]
    said_nothing = [
        good + bisect_left(with_answer, floor) for good, floor in zip(rightly, FLOORS, strict=True)
    ]
    return Curves(
        precision=[good / some if some else None for good, some in zip(rightly, said_nothing, strict=True)],
        recall=[good / len(without) for good in rightly],
    )


def _best(found: Answers) -> Sequence[float]:
    """The best score of each; below any floor where nothing was found."""
    return sorted(max((each.score for each in results), default=-1.0) for results in found.values())
