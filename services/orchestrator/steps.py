"""What the deeds share: the run at hand, and trying until it works or will not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from services.orchestrator.attempts import Patience
from services.orchestrator.failures import Permanent
from services.orchestrator.journal import Journal
from services.orchestrator.model import Enhancement, StepEnd, StepState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a step, in progress. `number` counts all that were ever begun, from 1."""

    name: str
    number: int
    begun: datetime

    def end(self, detail: str, *, state: StepState = StepState.SUCCEEDED) -> StepEnd:
        seconds = (datetime.now(UTC) - self.begun).total_seconds()
        return StepEnd(self.name, state, duration_seconds=seconds, detail=detail)


@dataclass(frozen=True, slots=True)
class Work:
    """A run that a worker is at."""

    enhancement: Enhancement
    journal: Journal
    patience: Patience

    async def try_step(self, name: str, work: Callable[[Attempt], Awaitable[T]]) -> T:
        """Begin the step and do it, again and again while it fails transiently; every attempt is kept."""
        current: Attempt | None = None

        async def attempt() -> T:
            nonlocal current
            begun = datetime.now(UTC)
            current = Attempt(name, (await self.journal.begin(name))[name], begun)
            return await work(current)

        async def failed(detail: str) -> None:
            if current is not None:
                await self.journal.failed(current.end(detail, state=StepState.FAILED))

        since = self.enhancement.start_time or datetime.now(UTC)
        try:
            return await self.patience.attempt(attempt, since=since, failed=failed)
        except Permanent as failure:
            failure.step = name
            raise
