"""Who is encoded next: few texts before many, and nobody waits for more than one batch of another's."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from embedding.minilm.encoder import Encoded, Matrix

_FEW: Final = 4
"""So many are somebody's question; more are somebody's import."""
_BATCH: Final = 8

Encode = Callable[[Sequence[str]], Encoded]


@dataclass(slots=True, eq=False)
class _Job:
    texts: Sequence[str]
    remaining: deque[int]
    done: asyncio.Future[None]
    vectors: dict[int, Matrix] = field(default_factory=dict)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    vectors: Sequence[Matrix]
    tokens: int


class Turns:
    """One thread encodes: a second would take the core that the rest of the machine answers with."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._few: deque[_Job] = deque()
        self._many: deque[_Job] = deque()
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    @property
    def waiting(self) -> int:
        """Texts."""
        return sum(len(job.remaining) for jobs in (self._few, self._many) for job in jobs)

    async def encoded(self, texts: Sequence[str]) -> Answer:
        """A caller that goes away takes what is left of its texts along."""
        job = _Job(texts, deque(range(len(texts))), asyncio.get_running_loop().create_future())
        jobs = self._few if len(texts) <= _FEW else self._many
        jobs.append(job)
        self._work.set()
        try:
            await job.done
        finally:
            if job in jobs:
                jobs.remove(job)
        return Answer([job.vectors[number] for number in range(len(texts))], job.tokens)

    async def serve(self) -> None:
        """Encode for ever."""
        loop = asyncio.get_running_loop()
        while True:
            job = self._next()
            if job is None:
                self._work.clear()
                await self._work.wait()
                continue
            numbers = [job.remaining.popleft() for _ in range(min(_BATCH, len(job.remaining)))]
            try:
                read = await loop.run_in_executor(
                    self._thread, self._encode, [job.texts[number] for number in numbers]
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's and no other's
                job.remaining.clear()
                if not job.done.done():
                    job.done.set_exception(error)
                continue
            job.tokens += read.tokens
            job.vectors.update(zip(numbers, read.vectors, strict=True))
            if not job.remaining and not job.done.done():
                job.done.set_result(None)

    def _next(self) -> _Job | None:
        for jobs in (self._few, self._many):
            for _ in range(len(jobs)):
                job = jobs[0]
                # Those who come with many take turns, too.
                jobs.rotate(-1)
                if job.remaining:
                    return job
        return None
