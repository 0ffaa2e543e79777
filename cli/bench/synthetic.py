"""Made-up tickets in any number, the same every time: words as often as the sample client's tickets use them.

Real texts follow Zipf's law, which decides how long the index's lists are; drawn from real frequencies, so do
these. Hosts and numbers keep the vocabulary growing with the client, as they do in life. Descriptions are as
long as those of 8,500 tickets of a real service desk: half of them within 16 words, one in twenty beyond 80.
"""

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from dossier.history.v1.past_ticket_pb2 import PastTicket

SAMPLE: Final = Path(__file__).parents[1] / "sample"
_WORD: Final = re.compile(r"[\w'./:-]*\w")
_LOGARITHM_OF_WORDS: Final = (2.6, 1.1)
"""Mean and standard deviation."""
_WORDS_MOST: Final = 400
# Above the numbers of tickets, which are their seeds.
_SEED: Final = 20_261_124_000


@dataclass(frozen=True, slots=True)
class Incident:
    """A new ticket."""

    subject: str
    description: str


def sample_tickets() -> list[PastTicket]:
    return [
        PastTicket(
            id=row["id"],
            title=row["title"],
            description=row["description"],
            resolution=row["resolution"],
            status=row["status"],
            category=row["category"],
            tags=row["tags"],
            assets=row["assets"],
        )
        for row in _rows("tickets.jsonl")
    ]


def sample_incidents() -> list[Incident]:
    return [Incident(row["subject"], row["description"]) for row in _rows("incidents.jsonl")]


def past_tickets(count: int, *, after: int = 0) -> Iterator[PastTicket]:
    """Number `after` + 1 to `count`; each is the same wherever one begins."""
    for number in range(after + 1, count + 1):
        draw = _Draw(number)
        yield PastTicket(
            id=str(number),
            title=draw.title(),
            description=draw.description(),
            resolution=draw.resolution(),
            status="Closed",
            assets=[draw.host()],
        )


def incidents(count: int) -> list[Incident]:
    """The sample client's incidents and then made-up ones."""
    draw = _Draw(_SEED)
    made = (Incident(draw.title(), draw.description()) for _ in itertools.count())
    return list(itertools.islice(itertools.chain(sample_incidents(), made), count))


class _Draw:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same texts every time is the point
        self._words, self._cumulative = _vocabulary()

    def title(self) -> str:
        return self._some(self._random.randint(5, 9)).capitalize()

    def description(self) -> str:
        count = max(3, round(self._random.lognormvariate(*_LOGARITHM_OF_WORDS)))
        return self._ended(min(count, _WORDS_MOST))

    def resolution(self) -> str:
        return self._ended(self._random.randint(20, 60))

    def host(self) -> str:
        return f"ws-{self._random.randrange(5000):04}"

    def _ended(self, count: int) -> str:
        return f"{self._some(count)} {self.host()} 0x{self._random.randrange(1 << 20):05x}."

    def _some(self, count: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._cumulative, k=count))


@cache
def _vocabulary() -> tuple[Sequence[str], Sequence[int]]:
    counted = Counter(
        word
        for row in _rows("tickets.jsonl")
        for part in ("title", "description", "resolution")
        for word in _WORD.findall(row[part])
    )
    return tuple(counted), tuple(itertools.accumulate(counted.values()))


def _rows(name: str) -> list[dict[str, str]]:
    lines = (SAMPLE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
