"""The model in the contract's messages, and back."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2 import CreateEnhancementRequest, Submission
from dossier.orchestrator.v1.queue_pb2 import (
    QUEUE_WEIGHT_PREFERRED,
    QUEUE_WEIGHT_PREMIUM,
    QUEUE_WEIGHT_STANDARD,
    QUEUE_WEIGHT_UNSPECIFIED,
    Queue,
    QueueWeight,
)
from services.orchestrator.model import (
    Enhancement,
    EnhancementId,
    Feedback,
    Offer,
    Purpose,
    Run,
    State,
    StepState,
    TakenStep,
    TenantId,
)
from services.orchestrator.queue import QueueState
from services.orchestrator.tickets import priority_of
from services.runtime.errors import InvalidArgument
from services.runtime.paging import Key

STATES: Final[Mapping["pb.EnhancementState.ValueType", State]] = {
    pb.ENHANCEMENT_STATE_QUEUED: State.QUEUED,
    pb.ENHANCEMENT_STATE_RUNNING: State.RUNNING,
    pb.ENHANCEMENT_STATE_SUCCEEDED: State.SUCCEEDED,
    pb.ENHANCEMENT_STATE_FAILED: State.FAILED,
    pb.ENHANCEMENT_STATE_CANCELLED: State.CANCELLED,
}
_STATES: Final = {state: sent for sent, state in STATES.items()}
_STEP_STATES: Final[Mapping[StepState, "pb.StepState.ValueType"]] = {
    StepState.RUNNING: pb.STEP_STATE_RUNNING,
    StepState.SUCCEEDED: pb.STEP_STATE_SUCCEEDED,
    StepState.FAILED: pb.STEP_STATE_FAILED,
    StepState.SKIPPED: pb.STEP_STATE_SKIPPED,
}
# Runs a round.
_WEIGHTS: Final = {
    0: QUEUE_WEIGHT_UNSPECIFIED,
    1: QUEUE_WEIGHT_STANDARD,
    2: QUEUE_WEIGHT_PREFERRED,
    4: QUEUE_WEIGHT_PREMIUM,
}
WEIGHTS: Final = {sent: weight for weight, sent in _WEIGHTS.items()}


def weight_message(runs: int) -> QueueWeight.ValueType:
    return _WEIGHTS[runs]


def offer_of(submission: Submission, new_id: EnhancementId) -> Offer:
    return Offer(
        run=Run(TenantId(submission.tenant_id), new_id),
        purpose=Purpose.RECORD if submission.resolved else Purpose.ENHANCE,
        ticket=submission.ticket,
        is_hint=submission.is_hint,
        # A resolution is recorded each time: what solved it may have been mended.
        is_update=submission.is_update and not submission.resolved,
        deliver=not submission.resolved,
        priority=priority_of(submission.ticket),
        revision=submission.revision,
        delivery_id=submission.delivery_id or None,
    )


def offer_by_hand(request: CreateEnhancementRequest, run: Run) -> Offer:
    ticket = request.ticket
    return Offer(
        run=run,
        purpose=Purpose.ENHANCE,
        ticket=ticket,
        # Only its number was given.
        is_hint=not (ticket.subject or ticket.description),
        deliver=request.deliver,
        priority=priority_of(ticket),
        request_id=request.request_id or None,
    )


def enhancement_message(enhancement: Enhancement) -> pb.Enhancement:
    message = pb.Enhancement(
        id=enhancement.run.id,
        state=_STATES[enhancement.state],
        ticket=enhancement.ticket,
        steps=[_step_message(step) for step in enhancement.steps],
        sources=[step.report for step in enhancement.steps if step.report is not None],
        note=enhancement.note,
        usage=enhancement.usage,
        cost=enhancement.usage.cost if enhancement.usage is not None else 0,
        deliver=enhancement.deliver,
        priority=enhancement.priority,
        changes_taken_in=enhancement.changes,
        settings_revision=enhancement.settings_revision,
        replay_of=enhancement.replay_of or "",
        create_time=timestamp(enhancement.create_time),
    )
    if enhancement.inputs is not None:
        message.evidence.extend(enhancement.inputs.evidence)
    if enhancement.answer is not None:
        message.brief.CopyFrom(enhancement.answer.brief)
        message.provenance.CopyFrom(enhancement.answer.provenance)
    if enhancement.failure is not None:
        failure = enhancement.failure
        message.failure.CopyFrom(
            pb.Failure(step=failure.step, reason=failure.reason, message=failure.message)
        )
    if enhancement.start_time is not None:
        message.start_time.CopyFrom(timestamp(enhancement.start_time))
    if enhancement.next_attempt_time is not None:
        message.next_attempt_time.CopyFrom(timestamp(enhancement.next_attempt_time))
    if enhancement.end_time is not None:
        message.end_time.CopyFrom(timestamp(enhancement.end_time))
    return message


def feedback_message(feedback: Feedback) -> pb.Feedback:
    message = pb.Feedback(
        id=feedback.id,
        enhancement_id=feedback.enhancement_id,
        evidence_id=feedback.evidence_id,
        comment=feedback.comment,
        author=feedback.author,
        create_time=timestamp(feedback.create_time),
        withdrawn=feedback.withdrawn,
    )
    if feedback.helpful is not None:
        message.helpful = feedback.helpful
    if feedback.rating is not None:
        message.rating = feedback.rating
    return message


def queue_message(state: QueueState) -> Queue:
    backlog = state.backlog
    message = Queue(
        paused=state.paused,
        waiting=backlog.waiting,
        delayed=backlog.delayed,
        in_progress=backlog.in_progress,
        weight=_WEIGHTS[state.weight],
        max_in_progress=state.max_in_progress,
        failed=state.failed,
    )
    if backlog.waiting:
        message.oldest_age.FromTimedelta(timedelta(seconds=backlog.oldest_seconds))
    return message


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def _step_message(step: TakenStep) -> pb.Step:
    message = pb.Step(
        name=step.name,
        state=_STEP_STATES[step.state],
        attempt=step.attempt,
        start_time=timestamp(step.start_time),
        detail=step.detail,
    )
    if step.duration_seconds is not None:
        message.duration.FromTimedelta(timedelta(seconds=step.duration_seconds))
    return message


def id_of_page(key: tuple[Key, ...]) -> str | None:
    """The id after which a page begins; None for the first."""
    match key:
        case ():
            return None
        case (str(last),):
            return last
        case _:
            raise InvalidArgument("is not a page token of this list", field="page_token")
