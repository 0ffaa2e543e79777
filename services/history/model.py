"""Past tickets, and the rules of which of them count as evidence and how much."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NewType

from retrieval.documents import TITLE_WEIGHT, Field
from retrieval.relevance import comparable_by_meaning

TicketId = NewType("TicketId", str)
Source = NewType("Source", str)

DEFAULT_SOURCE: Final = Source("import")

_OUR_SOURCE: Final = "dossier"
# The last line of every note we write.
_OUR_MARKER: Final = re.compile(r"\bDossier [0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
# What solved it speaks of causes that the reporter could not see: worth finding, but less than symptoms.
_RESOLUTION_WEIGHT: Final = 0.5


@dataclass(frozen=True, slots=True)
class TicketKey:
    source: Source
    id: TicketId


@dataclass(frozen=True, slots=True)
class TicketReference:
    """A ticket as a caller names it; without a source, whichever has it."""

    id: TicketId
    source: Source | None = None

    def names(self, key: TicketKey) -> bool:
        return self.id == key.id and self.source in {None, key.source}


@dataclass(frozen=True, slots=True)
class Ticket:
    """Texts are plain; `created` and `resolved` are None where unknown."""

    key: TicketKey
    title: str
    description: str
    resolution: str
    status: str
    category: str
    tags: tuple[str, ...]
    assets: tuple[str, ...]
    url: str
    created: datetime | None
    resolved: datetime | None
    site: str = ""
    organisation: str = ""

    @property
    def is_evidence(self) -> bool:
        """False for what we wrote ourselves: our guesses must not come back as experience."""
        texts = (self.title, self.description)
        return self.key.source != _OUR_SOURCE and not any(map(_OUR_MARKER.search, texts))

    @property
    def has_resolution(self) -> bool:
        """True when a person wrote down what solved it."""
        return bool(self.resolution.strip()) and not _OUR_MARKER.search(self.resolution)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What it is found by."""
        resolution = self.resolution if self.has_resolution else ""
        return (
            Field(self.title, TITLE_WEIGHT),
            Field(self.description),
            Field(resolution, _RESOLUTION_WEIGHT),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that shares words or meaning with the question.

    `summed` is the raw sum of its words, `cosine` that of its vector, None where there is none to compare.
    """

    key: TicketKey
    summed: float
    cosine: float | None
    title: str
    assets: tuple[str, ...]
    site: str
    organisation: str
    has_resolution: bool
    created: datetime | None
    resolved: datetime | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its score and why; `lexical` is what its words alone earn.

    `place` orders also those whose score is 0.
    """

    candidate: Candidate
    score: float
    place: float
    lexical: float
    boosts: tuple[str, ...]

    @property
    def key(self) -> TicketKey:
        return self.candidate.key

    @property
    def order(self) -> tuple[float, str, str]:
        """What sorts the best first, and equals always alike."""
        return -self.place, self.key.source, self.key.id


@dataclass(frozen=True, slots=True)
class Similar:
    """A ticket that was found; `duplicates` are others that report the same incident, best first."""

    ticket: Ticket
    ranked: Ranked
    matched: tuple[str, ...]
    duplicates: tuple[TicketKey, ...]


def text_of(title: str, description: str) -> str:
    """What is embedded of a ticket, and of a question: what its reporter says, and not what solved it."""
    return f"{title}\n{description}"


def comparable(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Leave meaning out while few have a vector."""
    by_words = [each for each in candidates if each.summed > 0]
    if comparable_by_meaning([each.cosine for each in by_words]):
        return candidates
    return [replace(each, cosine=None) for each in by_words]
