"""Waits for what another process is about to do."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], *, what: str, timeout_seconds: float = 20.0) -> Found:
    """Look until there is something (not None, not False), and return it."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}")
        time.sleep(0.02)
