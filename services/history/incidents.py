"""Makes one result of tickets that report one incident."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Final, TypeAlias

from services.history.model import Candidate, Ranked, TicketKey

LOOKED_AT: Final = 100
"""Of the best results; what comes after them is not grouped."""

# Under one title: much the same words, whether or not a resolution is among them.
_SAME_WORDS: Final = 0.6
# Under any: as near as two sentences are that differ in a name.
_SAME_MEANING: Final = 0.9
_CLOSE: Final = timedelta(days=3)

_REPLY: Final = re.compile(r"\s*(?:(?:re|fwd?|aw|wg|antw|sv|vs|tr|rv)\s*:|\[[^\]]*\d[^\]]*\])", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")

Pair: TypeAlias = tuple[TicketKey, TicketKey]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two tickets are: the cosine of their words, and of their vectors where both have one."""

    words: float
    meaning: float | None


@dataclass(frozen=True, slots=True)
class Incident:
    """The ticket that stands for it, and the others, best first."""

    shown: Ranked
    others: tuple[TicketKey, ...] = ()


def suspects(ranked: Sequence[Ranked]) -> Sequence[Pair]:
    """Give the pairs, better one first, that are worth comparing: of one title, or close in time."""
    titles = {each.key: title_words(each.candidate.title) for each in ranked}
    return [
        (one.key, other.key)
        for one, other in combinations(ranked, 2)
        if _same_title(titles[one.key], titles[other.key]) or _close(one.candidate, other.candidate)
    ]


def incidents(ranked: Sequence[Ranked], alike: Mapping[Pair, Likeness], *, limit: int) -> list[Incident]:
    """Group the best first: who reports the same as the best of a group joins it.

    Groups are not chained through their other members, so that they do not drift. For a group stands its best
    ticket that has a resolution, else its best.
    """
    groups: list[list[Ranked]] = []
    for each in ranked:
        group = next((group for group in groups if _same_incident(group[0], each, alike)), None)
        if group is not None:
            group.append(each)
        elif len(groups) < limit:
            groups.append([each])
    shown = [_incident(group) for group in groups]
    return sorted(shown, key=lambda incident: incident.shown.order)


def title_words(title: str) -> str:
    """What is the same in replies, forwards and with a ticket's number before it."""
    while prefix := _REPLY.match(title):
        title = title[prefix.end() :]
    return " ".join(_WORD.findall(title.casefold()))


def _incident(group: Sequence[Ranked]) -> Incident:
    shown = next((each for each in group if each.candidate.has_resolution), group[0])
    return Incident(shown, tuple(each.key for each in group if each is not shown))


def _same_incident(one: Ranked, other: Ranked, alike: Mapping[Pair, Likeness]) -> bool:
    likeness = alike.get((one.key, other.key))
    if likeness is None:
        return False
    if likeness.words >= _SAME_WORDS and _same_title(
        title_words(one.candidate.title), title_words(other.candidate.title)
    ):
        return True
    near = likeness.meaning is not None and likeness.meaning >= _SAME_MEANING
    return near and _close(one.candidate, other.candidate)


def _same_title(one: str, other: str) -> bool:
    return bool(one) and one == other


def _close(one: Candidate, other: Candidate) -> bool:
    if one.created is None or other.created is None:
        return False
    return abs(one.created - other.created) <= _CLOSE
