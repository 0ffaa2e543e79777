"""Judges what one configuration found, and compares two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cli.evaluating.asking import Answers
from cli.evaluating.judgements import Qrels
from cli.evaluating.measures import (
    Difference,
    Measured,
    PerQuery,
    abstention,
    differences,
    per_query,
    summed_up,
)
from retrieval.relevance import Ranking

ANSWERED_RIGHTLY: Final = "answered_rightly"
"""Of a query something right is shown, to a foreign question nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one configuration found."""

    ranking: Ranking
    found: Answers
    foreign: Answers
    """For questions that no IT desk knows."""
    held_out: Answers
    """For tickets whose topic was held out."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How good that was."""

    asked: Asked
    values: PerQuery
    """Of the order, by query,"""
    measured: Mapping[str, Measured]
    """and over all of them."""
    by_floor: PerQuery
    """Of what the floor lets through: whether that is right, and nothing where there is nothing to say;"""
    answered_rightly: Measured
    """over all of them."""
    abstained: Mapping[str, Measured]
    """Of foreign questions: precision and recall."""
    topics_abstained: Mapping[str, Measured]
    """Of held-out topics. Empty where there are none."""

    @property
    def everything(self) -> Mapping[str, Measured]:
        """By the names under which it is kept."""
        return {
            **self.measured,
            ANSWERED_RIGHTLY: self.answered_rightly,
            **{f"abstention_{name}": each for name, each in self.abstained.items()},
            **{f"topic_abstention_{name}": each for name, each in self.topics_abstained.items()},
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """Another configuration, and how much better than it the first is."""

    other: Judged
    differences: Mapping[str, Difference]


def judged(asked: Asked, relevant: Qrels) -> Judged:
    floor = asked.ranking.floor
    nothing_said = silent(asked.found, floor)
    values = per_query(rankings_of(asked.found), relevant)
    rightly = {
        ANSWERED_RIGHTLY: answered_rightly(asked.found, asked.foreign, relevant, floor=floor),
    }
    groups = {"abstention_recall": asked.foreign, "topic_abstention_recall": asked.held_out}
    return Judged(
        asked=asked,
        values=values,
        measured=summed_up(values),
        by_floor=rightly
        | {
            name: dict(zip(group, map(float, silent(group, floor)), strict=True))
            for name, group in groups.items()
            if group
        },
        answered_rightly=summed_up(rightly)[ANSWERED_RIGHTLY],
        abstained=abstention(nothing_said, silent(asked.foreign, floor)),
        topics_abstained=abstention(nothing_said, silent(asked.held_out, floor)) if asked.held_out else {},
    )


def compared(one: Judged, other: Judged) -> Compared:
    return Compared(other, differences({**one.values, **one.by_floor}, {**other.values, **other.by_floor}))


def answered_rightly(
    answered: Answers, foreign: Answers, relevant: Qrels, *, floor: float
) -> Mapping[str, float]:
    """Whether the floor let through what is right, and nothing where nothing is."""
    rightly = {
        query: float(any(each.score >= floor for each in found if each.document in relevant[query]))
        for query, found in answered.items()
    }
    return rightly | dict(zip(foreign, map(float, silent(foreign, floor)), strict=True))


def rankings_of(found: Answers) -> dict[str, Sequence[str]]:
    return {query: [each.document for each in results] for query, results in found.items()}


def silent(found: Answers, floor: float) -> Sequence[bool]:
    """Whether nothing would have been said, by query."""
    return [not any(each.score >= floor for each in results) for results in found.values()]
