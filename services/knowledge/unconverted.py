"""Pages that could not be converted, for some minutes: each question that finds one would try again."""

import time
from collections import OrderedDict
from datetime import datetime
from typing import Final

from services.knowledge.model import Source

PageKey = tuple[str, Source, str, datetime | None]
"""Client, knowledge base, page, and when it was changed."""

_SECONDS: Final = 300.0
_MOST: Final = 4096


class Unconverted:
    def __init__(self, *, seconds: float = _SECONDS, most: int = _MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._reasons = OrderedDict[PageKey, tuple[float, str]]()

    def reason(self, key: PageKey) -> str | None:
        until, reason = self._reasons.get(key, (0.0, None))
        return reason if time.monotonic() < until else None

    def add(self, key: PageKey, reason: str) -> None:
        """One that does not tell when it was changed is not remembered: it may be another by now."""
        if key[-1] is None:
            return
        self._reasons[key] = time.monotonic() + self._seconds, reason
        self._reasons.move_to_end(key)
        if len(self._reasons) > self._most:
            self._reasons.popitem(last=False)
