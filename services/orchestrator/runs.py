"""The workflows: which steps a run has, and what its end is when one of them fails."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import structlog
from opentelemetry import context as trace_context
from opentelemetry import propagate
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from services.orchestrator import telemetry
from services.orchestrator.attempts import Patience
from services.orchestrator.deliver import deliver
from services.orchestrator.engine import Progress, StepFunction, Workflow
from services.orchestrator.failures import Permanent
from services.orchestrator.gather import gather
from services.orchestrator.journal import Journal
from services.orchestrator.model import Enhancement, Failure, Purpose, Run
from services.orchestrator.note import Notes
from services.orchestrator.peers import SUBJECT, Peers
from services.orchestrator.record import record
from services.orchestrator.steps import Work
from services.orchestrator.store import TenantEnhancements
from services.orchestrator.synthesize import synthesize
from services.orchestrator.tool import Tools
from services.runtime.caller import acting_for
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.runtime.request_id import adopt_request_id
from services.runtime.telemetry import span

# A statement's time limit is a database in trouble, too.
_DATABASE_LOST: Final = (DependencyUnavailable, TimeoutError)
_WITHOUT_DATABASE: Final = wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2)

_log = structlog.get_logger(__name__)

Deed = Callable[[Work], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Runs:
    """Carries out runs. What a deed raises ends here, as the run's failure or in waiting for the database."""

    database: Database
    peers: Peers
    tools: Tools
    notes: Notes
    patience: Patience

    def workflows(self) -> tuple[Workflow, ...]:
        return (
            Workflow(
                Purpose.ENHANCE.value,
                {
                    "gather": self._step(
                        "gather", lambda work: gather(work, peers=self.peers, tools=self.tools)
                    ),
                    "synthesize": self._step("synthesize", lambda work: synthesize(work, peers=self.peers)),
                    "deliver": self._step(
                        "deliver", lambda work: deliver(work, tools=self.tools, notes=self.notes)
                    ),
                },
            ),
            Workflow(
                Purpose.RECORD.value,
                {
                    "record": self._step(
                        "record", lambda work: record(work, peers=self.peers, tools=self.tools)
                    )
                },
            ),
        )

    def _step(self, name: str, deed: Deed) -> StepFunction:
        async def step(run: Run) -> Progress:
            with acting_for(run.tenant, subject=SUBJECT):
                adopt_request_id(run.id)
                # Every deed finds what it did before, so it may simply begin anew.
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception_type(_DATABASE_LOST), wait=_WITHOUT_DATABASE
                ):
                    with attempt:
                        return await self._carry_out(run, name, deed)
            raise AssertionError("the database is waited for without end")

        return step

    async def _carry_out(self, run: Run, name: str, deed: Deed) -> Progress:
        enhancement = await TenantEnhancements(self.database, run.tenant).read(run.id)
        if enhancement.state.ended:
            return Progress.END
        journal = Journal(self.database, run)
        with ExitStack() as surroundings:
            _enter_trace(surroundings, enhancement)
            surroundings.enter_context(
                span(telemetry.span_of(name), **{telemetry.ENHANCEMENT_ATTRIBUTE: run.id})
            )
            try:
                await deed(Work(enhancement, journal, self.patience))
            except Permanent as failure:
                failed = failure.step or name
                _log.warning("run_failed", step=failed, reason=failure.reason, message=failure.message)
                await journal.gave_up(Failure(failed, failure.reason, failure.message))
                return Progress.END
            except _DATABASE_LOST:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the run must not end without saying so
                _log.exception("step_failed", step=name)
                message = f"an error of ours; the log says more under the request id {run.id}"
                await journal.gave_up(Failure(name, "STEP_FAILED", message))
                return Progress.END
        return Progress.GO_ON


def _enter_trace(surroundings: ExitStack, enhancement: Enhancement) -> None:
    """Go on with the trace of the call that brought the ticket."""
    if enhancement.trace_context:
        carried = propagate.extract({"traceparent": enhancement.trace_context})
        surroundings.callback(trace_context.detach, trace_context.attach(carried))
