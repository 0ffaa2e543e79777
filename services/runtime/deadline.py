"""How long the call being served may still take, so that what it calls in turn gets less."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

# Time for this hop to turn the next hop's late answer into its own.
MARGIN_SECONDS = 0.05

_current: ContextVar[float | None] = ContextVar("dossier_deadline", default=None)


def limit_to(seconds: float) -> None:
    """Everything from here on in this context has so many seconds."""
    _current.set(time.monotonic() + seconds)


def remaining_seconds() -> float | None:
    deadline = _current.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def timeout_for(requested: float | None, *, default: float | None) -> float | None:
    """Choose the timeout of an outgoing call: never longer than the call being served has left."""
    remaining = remaining_seconds()
    if remaining is None:
        return default if requested is None else requested
    allowed = max(0.0, remaining - MARGIN_SECONDS)
    return allowed if requested is None else min(requested, allowed)


@asynccontextmanager
async def within(seconds: float | None, late: Callable[[], Exception]) -> AsyncIterator[None]:
    """Raise `late` when that time is over; a `TimeoutError` of what is inside stays what it is."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise late() from error
        raise


@contextmanager
def lifted() -> Iterator[None]:
    """No limit inside: for work that outlives the call that began it."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
