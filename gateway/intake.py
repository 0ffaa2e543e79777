"""Hands webhooks to the orchestrator in batches that form by themselves.

What is waiting goes as one call while the one before is under way: no timer, no delay when it is quiet, few
calls when it is not. A call costs both processes as much CPU as a dozen webhooks; a further one at the same
time goes only with as many webhooks as are under way already, or where the one before is long in coming back.
"""

import asyncio
import contextvars
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from grpc import StatusCode

from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    Submission,
    SubmitEnhancementsRequest,
    SubmitEnhancementsResponse,
    SubmitResult,
)
from gateway.errors import ServiceFailed
from gateway.telemetry import batch_items, intake_waiting
from services.runtime.errors import ServiceError

Submit = Callable[[SubmitEnhancementsRequest, float], Awaitable[SubmitEnhancementsResponse]]

# The batch as a whole was not taken; sending its halves would not help.
_NOT_TAKEN = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED})
# A call takes a few milliseconds; one that hangs must not hold up those who come.
_LATE_SECONDS: Final = 0.25

_log = structlog.get_logger(__name__)


class IntakeFull(ServiceError):
    """More webhooks wait than may wait."""

    code = StatusCode.UNAVAILABLE
    reason = "INTAKE_FULL"


class TenantIntakeFull(ServiceError):
    """One client holds its whole share of the places to wait."""

    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "TENANT_INTAKE_FULL"


class IntakeTimedOut(ServiceError):
    """It waited too long to be worth sending; the sender has given up or is about to."""

    code = StatusCode.UNAVAILABLE
    reason = "INTAKE_TIMED_OUT"


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    batch_items: int
    batch_bytes: int
    batches_in_flight: int
    waiting_max: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    submission: Submission
    size: int
    since: float
    answer: "asyncio.Future[SubmitResult]"
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The batch goes out under the trace and the request id of its first webhook."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A call under way."""

    items: int
    since: float


class Intake:
    def __init__(
        self, submit: Submit, limits: IntakeLimits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._submit = submit
        self._limits = limits
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._held: Counter[str] = Counter()
        self._in_flight: dict[asyncio.Task[None], _Flight] = {}
        self._called = False

    async def submit(self, submission: Submission) -> SubmitResult:
        """Wait until the orchestrator has kept this ticket."""
        tenant = submission.tenant_id
        self._admit(tenant)
        answer: asyncio.Future[SubmitResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(submission, submission.ByteSize(), self._clock(), answer))
        self._held[tenant] += 1
        intake_waiting.inc()
        self._call()
        return await answer

    async def drain(self) -> None:
        """Wait until everything taken is answered."""
        while self._waiting or self._in_flight:
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            # The turn of the loop in which the next batch starts.
            await asyncio.sleep(0)

    def _admit(self, tenant: str) -> None:
        if len(self._waiting) >= self._limits.waiting_max:
            raise IntakeFull("too many webhooks are waiting; send it again")
        if self._held[tenant] >= self._limits.waiting_max // 2:
            raise TenantIntakeFull("too many webhooks of this client are waiting; send it again")

    def _call(self) -> None:
        """Send at the end of this turn of the loop, together with what else this turn brings."""
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        self._called = False
        while self._waiting and self._may_call():
            batch = self._next_batch()
            if batch:
                task = asyncio.create_task(self._deliver(batch), context=batch[0].context)
                self._in_flight[task] = _Flight(len(batch), self._clock())
                task.add_done_callback(self._delivered)

    def _may_call(self) -> bool:
        if len(self._in_flight) >= self._limits.batches_in_flight:
            return False
        late = self._clock() - _LATE_SECONDS
        in_time = sum(flight.items for flight in self._in_flight.values() if flight.since > late)
        return len(self._waiting) >= in_time

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        del self._in_flight[task]
        self._send_waiting()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        # Half of the time is for waiting, the other half for the call.
        too_old = self._clock() - self._limits.seconds / 2
        while self._waiting and len(batch) < self._limits.batch_items:
            item = self._waiting[0]
            if batch and size + item.size > self._limits.batch_bytes:
                break
            self._waiting.popleft()
            intake_waiting.dec()
            self._release(item.submission.tenant_id)
            if item.since < too_old:
                _fail(item, IntakeTimedOut("the orchestrator is too slow at the moment; send it again"))
            elif not item.answer.done():
                batch.append(item)
                size += item.size
        return batch

    def _release(self, tenant: str) -> None:
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]

    async def _deliver(self, batch: Sequence[_Waiting]) -> None:
        batch_items.observe(len(batch))
        request = SubmitEnhancementsRequest(submissions=[item.submission for item in batch])
        try:
            response = await self._submit(request, self._limits.seconds / 2)
            answers = list(zip(batch, response.results, strict=True))
        except ServiceFailed as error:
            if len(batch) > 1 and error.code not in _NOT_TAKEN:
                # One ticket that cannot be kept must not cost another client its own.
                _log.warning("batch_refused", items=len(batch), code=error.code.name)
                middle = len(batch) // 2
                await self._deliver(batch[:middle])
                await self._deliver(batch[middle:])
            else:
                _fail_all(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits to be told
            _fail_all(batch, error)
        else:
            for item, result in answers:
                if not item.answer.done():
                    item.answer.set_result(result)


def _fail_all(batch: Sequence[_Waiting], error: Exception) -> None:
    for item in batch:
        _fail(item, error)


def _fail(item: _Waiting, error: Exception) -> None:
    if not item.answer.done():
        item.answer.set_exception(error)
