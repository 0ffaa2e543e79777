"""Topics of a client's own tickets: what is asked of one, with the whole of it held out, has no answer."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Final

from cli.evaluating.judgements import Query
from cli.evaluating.own import OwnTicket, alike_solved, latest_of, links

# A category that more have is no topic, but what the tool fills in.
_LARGEST_CATEGORY: Final = 0.5
# Nor is a word of titles that more have, unless there are next to none.
_LARGEST_WORD: Final = 0.1
_FEW_TICKETS: Final = 3
_LEAST_OF_A_WORD: Final = 2


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Queries that are tickets, each with its topic, which is then not searched."""

    queries: Sequence[Query]
    categories: int
    """How many topics are the tickets' categories."""
    title_words: int
    """And how many a word of their titles, where there is no category."""


def held_out(tickets: Sequence[OwnTicket], *, latest: float, most: int, seed: int) -> HeldOut:
    """Draw from the latest share of the tickets, of as many topics as there are.

    A ticket that refers to one of another topic, or was solved in the same words, has an answer, and does not
    ask.
    """
    categories, words = _categories(tickets), _title_words(tickets)
    linked, (alike, _) = links(tickets), alike_solved(tickets)
    untimed = sum(each.created is None for each in tickets)
    older = {at: untimed + place for place, at in enumerate(latest_of(tickets, 1))}
    asking: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    members: dict[tuple[str, str], frozenset[int]] = {}
    for at in latest_of(tickets, latest):
        topic = _topic(tickets[at], categories, words)
        if topic is None:
            continue
        source, name = topic
        members.setdefault(topic, frozenset((categories if source == "category" else words)[name]))
        resolution = tickets[at].resolution
        answers = chain(linked.get(at, ()), alike.get(resolution, ()) if resolution is not None else ())
        # Where there was nothing else yet, there is nothing to be silent about.
        if members[topic].issuperset(answers) and older[at] >= len(members[topic]):
            asking[topic].append(at)
    dice = random.Random(seed)  # noqa: S311 - statistics
    topics = dice.sample(sorted(asking), len(asking))
    in_turn = zip_longest(*(dice.sample(asking[topic], len(asking[topic])) for topic in topics))
    drawn = [
        (topic, at) for turn in in_turn for topic, at in zip(topics, turn, strict=True) if at is not None
    ][:most]
    names = {topic: frozenset(tickets[at].name for at in members[topic]) for topic, _ in drawn}
    return HeldOut(
        queries=[
            Query(
                tickets[at].name,
                "",
                "",
                ticket=(tickets[at].source, tickets[at].id),
                held_out=names[topic],
            )
            for topic, at in drawn
        ],
        categories=sum(source == "category" for source, _ in names),
        title_words=sum(source == "title" for source, _ in names),
    )


def _topic(
    ticket: OwnTicket, categories: Mapping[str, Sequence[int]], words: Mapping[str, Sequence[int]]
) -> tuple[str, str] | None:
    if ticket.category in categories:
        return "category", ticket.category
    known = [word for word in ticket.title_words if word in words]
    return ("title", max(known, key=lambda word: (len(words[word]), word))) if known else None


def _categories(tickets: Sequence[OwnTicket]) -> Mapping[str, Sequence[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(tickets):
        if each.category:
            found[each.category].append(at)
    return {name: each for name, each in found.items() if len(each) <= _LARGEST_CATEGORY * len(tickets)}


def _title_words(tickets: Sequence[OwnTicket]) -> Mapping[str, Sequence[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(tickets):
        for word in each.title_words:
            found[word].append(at)
    most = max(_FEW_TICKETS, _LARGEST_WORD * len(tickets))
    return {word: each for word, each in found.items() if _LEAST_OF_A_WORD <= len(each) <= most}
