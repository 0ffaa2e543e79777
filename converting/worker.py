"""Converts in processes of its own, which are ended when a document takes too long or too much.

Only there are the converters loaded: a service that may never convert anything does without their memory.
"""

import asyncio
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from converting.errors import Unconvertible

if TYPE_CHECKING:
    from converting.documents import Document

T = TypeVar("T")

_SECONDS: Final = 30.0
_MEMORY_BYTES: Final = 2 << 30


class Worker:
    """So many processes, started with the first document, and anew after one had to be ended.

    `seconds` and `memory_bytes` are what one document may take.
    """

    def __init__(
        self, *, processes: int = 1, seconds: float = _SECONDS, memory_bytes: int = _MEMORY_BYTES
    ) -> None:
        self.processes = processes
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        # Not forked: whoever asks has threads.
        self._pool = ProcessPool(
            max_workers=processes,
            initializer=_prepare,
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

    def convert(self, name: str, content: bytes) -> "Document":
        """As `converting.documents.convert`, within bounds."""
        with self._bounds():
            return self._begun(_convert, name, content).result()

    async def markdown(self, html: str, *, base_url: str) -> str:
        """As `converting.html.to_markdown`, within bounds; when it is cancelled, its process is ended."""
        with self._bounds():
            return await asyncio.wrap_future(self._begun(_to_markdown, html, base_url))

    def _begun(self, conversion: Callable[..., T], *told: object) -> Future[T]:
        return self._pool.schedule(_converted, args=(conversion, *told), timeout=self._seconds)

    @contextmanager
    def _bounds(self) -> Iterator[None]:
        try:
            yield
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


def _convert(name: str, content: bytes) -> "Document":
    from converting.documents import convert  # noqa: PLC0415 - see above

    return convert(name, content)


def _to_markdown(html: str, base_url: str) -> str:
    from converting.html import to_markdown  # noqa: PLC0415 - see above

    return to_markdown(html, base_url=base_url)


def _converted(conversion: Callable[..., T], *told: object) -> T:
    try:
        return conversion(*told)
    except MemoryError:
        # What fills the memory would still be there for the next document.
        os._exit(1)


def _prepare(memory_bytes: int) -> None:
    with suppress(ValueError):  # macOS does not limit this
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # What it takes to load them is no document's time.
    import converting.documents  # noqa: F401, PLC0415
