"""Converts in processes of its own, which are ended when a document takes too long or too much.

Only there are the converters loaded: a service that may never convert anything does without their memory.
"""

import asyncio
import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as TooLong
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pebble import CONSTS, ProcessExpired, ProcessPool

from converting.errors import ConverterBroken, Unconvertible

if TYPE_CHECKING:
    from converting.documents import Document

T = TypeVar("T")

_SECONDS: Final = 30.0
_MEMORY_BYTES: Final = 2 << 30
_LOOK_SECONDS: Final = 0.5
# A process that is ended has nothing to tidy up, and a parser in C hears of no signal but the last.
CONSTS.term_timeout = 0.1


class Worker:
    """So many processes, started with the first document, and anew after one had to be ended or died.

    `seconds` and `memory_bytes` are what one document may take.
    """

    def __init__(
        self, *, processes: int = 1, seconds: float = _SECONDS, memory_bytes: int = _MEMORY_BYTES
    ) -> None:
        self.processes = processes
        self._all = [_Process(seconds, memory_bytes) for _ in range(processes)]
        self._free = SimpleQueue[_Process]()
        for each in self._all:
            self._free.put(each)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="converting")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for each in self._all:
            each.stop()
        self._threads.shutdown(cancel_futures=True)
        for each in self._all:
            each.join()

    def convert(self, name: str, content: bytes) -> "Document":
        """As `converting.documents.convert`, within bounds. Raises `ConverterBroken`, too."""
        return self._run(_convert, name, content)

    async def markdown(self, html: str, *, base_url: str) -> str:
        """As `converting.html.to_markdown`, within bounds. Raises `ConverterBroken`, too.

        What has begun goes on to its end when whoever waits is cancelled.
        """
        return await asyncio.wrap_future(self._threads.submit(self._run, _to_markdown, html, base_url))

    def _run(self, conversion: Callable[..., T], *told: object) -> T:
        process = self._free.get()
        try:
            return process.run(conversion, *told)
        finally:
            self._free.put(process)


class _Process:
    """One document at a time; a pool of its own, which ending its process makes nobody else wait for."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._pool = self._new_pool()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        self._pool.stop()  # type: ignore[no-untyped-call]  # annotated but for its return

    def join(self) -> None:
        # Perhaps another than was stopped.
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def run(self, conversion: Callable[..., T], *told: object) -> T:
        try:
            try:
                return self._run(conversion, *told)
            except ConverterBroken:
                self._renew()
                return self._run(conversion, *told)
        except TooLong:
            raise Unconvertible(f"was not read within {self._seconds:g} s") from None
        except ProcessExpired:
            raise Unconvertible(
                f"takes more than {self._memory_bytes >> 20} MiB of memory, or is damaged"
            ) from None
        except (Unconvertible, ConverterBroken):
            raise
        except Exception as problem:  # readers of strangers' files fail in every way there is
            raise Unconvertible(f"cannot be read ({type(problem).__name__}): damaged?") from problem

    def _run(self, conversion: Callable[..., T], *told: object) -> T:
        """Raises `ConverterBroken` where the process is gone that had begun nothing."""
        try:
            future: Future[T] = self._pool.schedule(
                _converted, args=(conversion, *told), timeout=self._seconds
            )
        except RuntimeError as problem:
            raise ConverterBroken from problem
        # One that is stopped, or breaks at this moment, may forget what it was given.
        while not wait([future], _LOOK_SECONDS).done:
            if not self._pool.active:
                raise ConverterBroken
        try:
            return future.result()
        except BrokenProcessPool as problem:
            raise ConverterBroken from problem

    def _renew(self) -> None:
        if self._stopped:
            raise ConverterBroken
        broken, self._pool = self._pool, self._new_pool()
        broken.stop()  # type: ignore[no-untyped-call]
        broken.join()

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            initializer=_prepare,
            initargs=(self._memory_bytes,),
            # Not forked: whoever asks has threads.
            context=multiprocessing.get_context("spawn"),
        )


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
