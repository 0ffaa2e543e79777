"""When a step that failed is tried again."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_QUICKLY: Final = (0.5, 10.0)
_SLOWLY: Final = (2.0, 60.0)
_MOST_DOUBLINGS: Final = 16
_JITTER: Final = 0.25
_LONGEST_TURN_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run may go on, counted from its first start, whatever was restarted since."""

    run_seconds: float
    """Quickly until then; a worker is at a run no longer than this in one go."""
    patience_seconds: float

    def turn_seconds(self, *, since: datetime, at_least: float | None) -> float | None:
        """How long to wait for one's turn, which no patience ends; None when a whole day has."""
        age = (datetime.now(UTC) - since).total_seconds()
        return at_least if age < _LONGEST_TURN_SECONDS else None

    def wait_seconds(self, attempt: int, *, since: datetime, at_least: float | None) -> float | None:
        """How long to wait after that attempt, from 1; None when patience ends first.

        Exponential, with a jitter, so that what failed together does not come again together.
        """
        age = (datetime.now(UTC) - since).total_seconds()
        first, longest = _QUICKLY if age < self.run_seconds else _SLOWLY
        wait = min(longest, first * 2 ** min(attempt - 1, _MOST_DOUBLINGS))
        wait = max(wait, at_least or 0.0) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret
        return wait if age + wait <= self.patience_seconds else None
