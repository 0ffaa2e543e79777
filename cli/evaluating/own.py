"""What a client's own past tickets say of each other: references, and resolutions that are the same."""

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice
from sys import intern
from typing import Final

from cli.evaluating.judgements import Qrels, Query
from dossier.history.v1.past_ticket_pb2 import PastTicket
from retrieval.words import lexemes

# `INC-42` and `INC0042` by themselves; a number alone only where a word says that it is a ticket's.
_REFERENCE: Final = re.compile(
    r"\b([A-Za-z][A-Za-z0-9]{0,15}[-_]?\d{1,19})\b"
    r"|(?:#|\b(?:ticket|request|incident|case|issue|duplicate of|same as|see)\b"
    r"\s*(?:id|no\.?|number)?\s*[:#]?\s*)"
    r"(\d{1,19})\b",
    re.IGNORECASE,
)
_MOST_REFERENCES: Final = 20
_READ_CHARACTERS: Final = 20_000
# "Closed" and "issue resolved" solve nothing.
_LEAST_LEXEMES: Final = 3
# What more tickets than these share is a set phrase, and no sign that they were one problem.
_SET_PHRASE_TICKETS: Final = 20
_SET_PHRASE_SHARE: Final = 200


@dataclass(frozen=True, slots=True)
class OwnTicket:
    """What labels need of a ticket, and no more: there may be many."""

    source: str
    id: str
    created: float | None
    resolution: bytes | None
    """The same for resolutions of the same words; None where it says too little."""
    references: tuple[str, ...]
    category: str
    title_words: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.source}/{self.id}"


@dataclass(frozen=True, slots=True)
class Labels:
    """Queries that are tickets, and which older ones are right for each; how many pairs are from where."""

    queries: Sequence[Query]
    qrels: Qrels
    tickets: int
    linked_pairs: int
    same_resolution_pairs: int
    set_phrases: int
    """Resolutions left out because so many tickets have them."""


def own_ticket(sent: PastTicket) -> OwnTicket:
    words = sorted(lexemes(sent.resolution))
    texts = (sent.title, sent.description[:_READ_CHARACTERS], sent.resolution[:_READ_CHARACTERS], *sent.tags)
    found = chain.from_iterable(map(_REFERENCE.finditer, texts))
    named = dict.fromkeys((each[1] or each[2]).casefold() for each in found)
    return OwnTicket(
        source=sent.source,
        id=sent.id,
        created=sent.create_time.ToNanoseconds() / 1e9 if sent.HasField("create_time") else None,
        resolution=(
            blake2b(" ".join(words).encode(), digest_size=8).digest()
            if len(words) >= _LEAST_LEXEMES
            else None
        ),
        references=tuple(islice((name for name in named if name != sent.id.casefold()), _MOST_REFERENCES)),
        # Many tickets have few of them: each is kept once.
        category=intern(" ".join(sent.category.casefold().split())),
        title_words=tuple(map(intern, sorted(lexemes(sent.title)))),
    )


def labelled(tickets: Sequence[OwnTicket], *, latest: float, most: int, seed: int) -> Labels:
    """Label the latest share of the tickets that have a time; at most so many, drawn by the seed."""
    linked = links(tickets)
    alike, set_phrases = alike_solved(tickets)
    asked = latest_of(tickets, latest)
    right: dict[int, set[int]] = {}
    pairs = {"linked": 0, "alike": 0}
    for at in asked:
        resolution = tickets[at].resolution
        group = alike.get(resolution, ()) if resolution is not None else ()
        older = {
            "linked": {other for other in linked.get(at, ()) if is_older(tickets[other], tickets[at])},
            "alike": {other for other in group if is_older(tickets[other], tickets[at])},
        }
        pairs = {kind: count + len(older[kind]) for kind, count in pairs.items()}
        if found := older["linked"] | older["alike"]:
            right[at] = found
    drawn = list(right)
    if len(drawn) > most:
        drawn = sorted(random.Random(seed).sample(drawn, most))  # noqa: S311 - statistics
    return Labels(
        queries=[
            Query(tickets[at].name, "", "", ticket=(tickets[at].source, tickets[at].id)) for at in drawn
        ],
        qrels={tickets[at].name: {tickets[other].name: 1 for other in right[at]} for at in drawn},
        tickets=len(tickets),
        linked_pairs=pairs["linked"],
        same_resolution_pairs=pairs["alike"],
        set_phrases=set_phrases,
    )


def latest_of(tickets: Sequence[OwnTicket], share: float) -> Sequence[int]:
    """Where the latest share of those that have a time is, the earliest first."""
    in_order = sorted((each.created, at) for at, each in enumerate(tickets) if each.created is not None)
    return [at for _, at in in_order[round(len(in_order) * (1 - share)) :]]


def links(tickets: Sequence[OwnTicket]) -> Mapping[int, set[int]]:
    """Which tickets name which, in either direction."""
    by_id: defaultdict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(tickets):
        by_id[each.id.casefold()].append(at)
    links: defaultdict[int, set[int]] = defaultdict(set)
    for at, each in enumerate(tickets):
        for name in each.references:
            for other in by_id.get(name, ()):
                links[at].add(other)
                links[other].add(at)
    return links


def alike_solved(tickets: Sequence[OwnTicket]) -> tuple[Mapping[bytes, Sequence[int]], int]:
    """Which tickets have the same resolution, and how many resolutions are set phrases."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, each in enumerate(tickets):
        if each.resolution is not None:
            groups[each.resolution].append(at)
    most = max(_SET_PHRASE_TICKETS, len(tickets) // _SET_PHRASE_SHARE)
    kept = {resolution: group for resolution, group in groups.items() if len(group) <= most}
    return kept, len(groups) - len(kept)


def is_older(one: OwnTicket, other: OwnTicket) -> bool:
    """Whether it could be found when the other came; without a time, it was there."""
    return one.created is None or other.created is None or one.created < other.created
