"""The engine's log lines, among ours."""

import logging
import time
from typing import Final

_AGAIN_SECONDS: Final = 10.0
_MOST_KEPT: Final = 256


def tame() -> None:
    """Send the engine's lines to the service's own handler.

    The engine adds a handler of its own only to a logger that has none.
    """
    logger = logging.getLogger("dbos")
    if not any(isinstance(handler, _Relay) for handler in logger.handlers):
        logger.addHandler(_Relay())
    logger.propagate = False


class _Relay(logging.Handler):
    """Passes a line on to the root logger, the same one not again for a while.

    While PostgreSQL is down the engine says so at every poll, ten times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[int, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        key, now = (record.levelno, record.getMessage()[:40]), time.monotonic()
        if now - self._said.get(key, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
            return
        if len(self._said) >= _MOST_KEPT:
            self._said.clear()
        self._said[key] = now
        logging.getLogger().handle(record)
