"""Converts in a process of its own, which is ended when a document takes too long or too much."""

import multiprocessing
import os
import resource
from concurrent.futures import TimeoutError as TooLong
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from pebble import ProcessExpired, ProcessPool

from converting.documents import Document, convert
from converting.errors import Unconvertible

_SECONDS: Final = 30.0
_MEMORY_BYTES: Final = 2 << 30


class Worker:
    """One process, started with the first document, and anew after it had to be ended."""

    def __init__(self, *, seconds: float = _SECONDS, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        # Not forked: whoever asks has threads.
        self._pool = ProcessPool(
            max_workers=1,
            initializer=_confine,
            initargs=(memory_bytes,),
            context=multiprocessing.get_context("spawn"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]  # annotated but for its return
        self._pool.join()

    def convert(self, name: str, content: bytes) -> Document:
        """As `converting.documents.convert`, within bounds."""
        try:
            return self._pool.schedule(_convert, args=(name, content), timeout=self._seconds).result()
        except TooLong:
            raise Unconvertible(f"was not read within {self._seconds:g} s") from None
        except ProcessExpired:
            raise Unconvertible(
                f"takes more than {self._memory_bytes >> 20} MiB of memory, or is damaged"
            ) from None
        except Unconvertible:
            raise
        except Exception as problem:  # readers of strangers' files fail in every way there is
            raise Unconvertible(f"cannot be read ({type(problem).__name__}): damaged?") from problem


def _convert(name: str, content: bytes) -> Document:
    try:
        return convert(name, content)
    except MemoryError:
        # What fills the memory would still be there for the next document.
        os._exit(1)


def _confine(memory_bytes: int) -> None:
    with suppress(ValueError):  # macOS does not limit this
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
