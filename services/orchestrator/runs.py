"""The workflows: which steps a run has, and what becomes of it when one of them fails."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import structlog
from opentelemetry import context as trace_context
from opentelemetry import propagate

from services.orchestrator import telemetry
from services.orchestrator.attempts import Patience
from services.orchestrator.control import withdraw
from services.orchestrator.deliver import deliver
from services.orchestrator.engine import Claim, Superseded, Workflow
from services.orchestrator.errors import EnhancementNotFound
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.gather import gather
from services.orchestrator.journal import Journal
from services.orchestrator.model import Enhancement, Failure, Purpose, Standing, Step, StepEnd, StepState
from services.orchestrator.note import Notes
from services.orchestrator.peers import SUBJECT, Peers
from services.orchestrator.record import record
from services.orchestrator.steps import Attempt, Work
from services.orchestrator.store import TenantEnhancements
from services.orchestrator.synthesize import rewrite, synthesize
from services.orchestrator.tool import Tools
from services.runtime.caller import acting_for
from services.runtime.database import Database
from services.runtime.deadline import within
from services.runtime.errors import DependencyUnavailable
from services.runtime.request_id import adopt_request_id
from services.runtime.telemetry import span

_log = structlog.get_logger(__name__)

Deed = Callable[[Work], Awaitable[tuple[Enhancement, Standing] | None]]
"""Does one step. It answers where the run stands then, or None when it has ended."""
Deeds = Mapping[Step, tuple[str, Deed]]
"""By where a run stands, with the name of the span."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Carries out runs. What a deed raises ends here: as another try later, or as the run's failure."""

    database: Database
    peers: Peers
    tools: Tools
    notes: Notes
    patience: Patience
    tool_seconds: float
    """Longest wait for one request at a ticketing tool."""

    def workflows(self, *, lease_seconds: Callable[[], float]) -> tuple[Workflow, ...]:
        async def end_delivered(work: Work) -> None:
            await deliver(
                work,
                tools=self.tools,
                notes=self.notes,
                lease_seconds=lease_seconds,
                tool_seconds=self.tool_seconds,
            )

        enhance: Deeds = {
            Step.REFRESH: ("gather", lambda work: gather(work, peers=self.peers, tools=self.tools)),
            Step.SYNTHESIZE: (
                "synthesize",
                lambda work: synthesize(work, peers=self.peers, tools=self.tools),
            ),
            Step.DELIVER: ("deliver", end_delivered),
        }
        record_only: Deeds = {
            Step.REFRESH: ("record", lambda work: record(work, peers=self.peers, tools=self.tools))
        }
        replay: Deeds = {
            Step.SYNTHESIZE: ("synthesize", lambda work: rewrite(work, peers=self.peers, tools=self.tools))
        }
        return (
            Workflow(Purpose.ENHANCE.value, partial(self._run, enhance)),
            Workflow(Purpose.RECORD.value, partial(self._run, record_only)),
            Workflow(Purpose.REPLAY.value, partial(self._run, replay)),
        )

    async def _run(self, deeds: Deeds, claim: Claim) -> None:
        """Go on from where the run stands until it has ended or waits."""
        with acting_for(claim.run.tenant, subject=SUBJECT):
            adopt_request_id(claim.run.id)
            enhancements = TenantEnhancements(self.database, claim.run.tenant)
            try:
                enhancement, standing = await enhancements.take_up(claim.run.id)
            except EnhancementNotFound:
                await withdraw(self.database, claim.run)
                return
            with ExitStack() as surroundings:
                _enter_trace(surroundings, enhancement)
                while True:
                    work = Work(
                        replace(enhancement, next_step=standing.step),
                        Journal(self.database, claim),
                        Attempt(standing.step, standing.attempt, uncertain_time=standing.uncertain_time),
                    )
                    onward = await self._carry_out(work, *deeds[standing.step])
                    if onward is None:
                        return
                    enhancement, standing = onward
                    if standing.step is Step.REFRESH:
                        # A change came after this was gathered: all is read anew.
                        enhancement, standing = await enhancements.take_up(claim.run.id)

    async def _carry_out(self, work: Work, name: str, deed: Deed) -> tuple[Enhancement, Standing] | None:
        attributes = {telemetry.ENHANCEMENT_ATTRIBUTE: work.enhancement.run.id}
        seconds = self.patience.run_seconds
        with span(telemetry.span_of(name), **attributes):
            try:
                async with within(seconds, lambda: Transient(f"not done within {seconds:g} s")):
                    return await deed(work)
            except Transient as failure:
                await self._try_later(work, failure)
            except Permanent as failure:
                await self._give_up(work, failure)
            except (DependencyUnavailable, Superseded, TimeoutError):
                # The last is a statement's time limit: a database in trouble.
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the run must not end without saying so
                _log.exception("step_failed", step=name)
                message = (
                    f"an error of ours; the log says more under the request id {work.enhancement.run.id}"
                )
                await self._give_up(work, Permanent(message, reason="STEP_FAILED"))
        return None

    async def _try_later(self, work: Work, failure: Transient) -> None:
        since = work.enhancement.start_time or datetime.now(UTC)
        seconds = self.patience.wait_seconds(
            work.attempt.number, since=since, at_least=failure.retry_after_seconds
        )
        if seconds is None and failure.in_turn:
            seconds = self.patience.turn_seconds(since=since, at_least=failure.retry_after_seconds)
        if seconds is None:
            age = (datetime.now(UTC) - since).total_seconds()
            message = (
                f"{failure.message}; given up {age:.0f} s after the start, at attempt {work.attempt.number}"
            )
            permanent = Permanent(message, reason=failure.reason)
            permanent.step = failure.step
            await self._give_up(work, permanent, uncertain=_may_go_on(work, failure))
            return
        detail = f"{failure.message}; next try in {seconds:.0f} s"
        await work.journal.postponed(
            _failed(work, failure.step, detail),
            seconds=seconds,
            idle_delivery=failure.nothing_done and work.enhancement.next_step is Step.DELIVER,
            uncertain=_may_go_on(work, failure),
        )

    async def _give_up(self, work: Work, failure: Permanent, *, uncertain: bool = False) -> None:
        step = failure.step or work.attempt.name
        _log.warning("run_failed", step=step, reason=failure.reason, message=failure.message)
        end = _failed(work, step, failure.message)
        told = Failure(step, failure.reason, failure.message)
        await work.journal.gave_up(end, told, uncertain=uncertain)


def _may_go_on(work: Work, failure: Transient) -> bool:
    """What a delivery began may be going on at the tool, unless it is certain that it began nothing."""
    return work.enhancement.next_step is Step.DELIVER and not (failure.nothing_done or failure.ended)


def _failed(work: Work, step: str, detail: str) -> StepEnd:
    return replace(work.attempt, name=step or work.attempt.name).end(detail, state=StepState.FAILED)


def _enter_trace(surroundings: ExitStack, enhancement: Enhancement) -> None:
    """Go on with the trace of the call that brought the ticket."""
    if enhancement.trace_context:
        carried = propagate.extract({"traceparent": enhancement.trace_context})
        surroundings.callback(trace_context.detach, trace_context.attach(carried))
