"""What the deeds share: the run at hand, and the attempt at one of its steps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.orchestrator.journal import Journal
from services.orchestrator.model import Enhancement, StepEnd, StepState


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a step, in progress. `number` counts all that were ever begun, from 1."""

    name: str
    number: int = 1
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    uncertain_time: datetime | None = None
    """Until when an earlier one may have begun something of which nobody knows how it ended."""

    def end(self, detail: str, *, state: StepState = StepState.SUCCEEDED) -> StepEnd:
        seconds = (datetime.now(UTC) - self.begun).total_seconds()
        return StepEnd(self.name, state, duration_seconds=seconds, detail=detail, start_time=self.begun)


@dataclass(frozen=True, slots=True)
class Work:
    """A run that a worker is at, at one of its steps."""

    enhancement: Enhancement
    journal: Journal
    attempt: Attempt
    """At the step `enhancement.next_step`."""
