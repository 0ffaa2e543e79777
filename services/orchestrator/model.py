"""The orchestrator's nouns."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from dossier.context.v1.evidence_pb2 import SourceReport
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import Note
from dossier.synthesis.v1.brief_pb2 import Usage
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse

TenantId = NewType("TenantId", str)
EnhancementId = NewType("EnhancementId", str)


class Purpose(StrEnum):
    """What is to be done with an accepted ticket; the value is the name of its workflow."""

    ENHANCE = "enhance"
    RECORD = "record"
    REPLAY = "replay"


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in {State.SUCCEEDED, State.FAILED, State.CANCELLED}


class Step(StrEnum):
    """Where a run may have to go on; within the first, the sources are steps of their own to see."""

    REFRESH = "refresh"
    SYNTHESIZE = "synthesize"
    DELIVER = "deliver"
    RECORD = "record"


class StepState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Run:
    """Names one piece of accepted work."""

    tenant: TenantId
    id: EnhancementId

    @property
    def marker(self) -> str:
        """By which the note is found again at the ticketing tool."""
        return f"Dossier {self.id}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A ticket that asks to be accepted.

    Each key that is not None names the work: an offer with a key that is known is that work again.
    """

    run: Run
    purpose: Purpose
    ticket: Ticket
    is_hint: bool
    deliver: bool
    priority: int
    is_update: bool = False
    revision: str | None = None
    delivery_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    id: EnhancementId
    created: bool


@dataclass(frozen=True, slots=True)
class TakenStep:
    name: str
    state: StepState
    attempt: int
    start_time: datetime
    duration_seconds: float | None
    detail: str
    report: SourceReport | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The step at which a run stands, and which attempt at it this is, from 1."""

    step: Step
    attempt: int
    uncertain_time: datetime | None = None
    """Until when an earlier attempt may have begun something of which nobody knows how it ended."""


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How an attempt at a step ended. `start_time` is set where it was not announced when it began."""

    name: str
    state: StepState
    duration_seconds: float
    detail: str = ""
    start_time: datetime | None = None
    report: SourceReport | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """`reason` is one of the contract's `ErrorReason`, without the prefix."""

    step: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The latest enhancement of the same ticket before this one whose note is, or will be, posted."""

    id: str
    read_hash: bytes | None
    """Of the ticket as it was read; None until then, and again from when a change has come."""
    state: State

    @property
    def is_about_to_read(self) -> bool:
        return self.read_hash is None and self.state is not State.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Enhancement:
    """Everything known of one piece of work; the parts that are not there yet are None.

    `inputs` is frozen once gathered: what the brief is written from, and what a replay starts with.
    """

    run: Run
    purpose: Purpose
    state: State
    version: int
    ticket: Ticket
    is_hint: bool
    deliver: bool
    priority: int
    next_step: Step
    changes: int
    """Of the ticket, taken in since it was accepted."""
    idle_deliveries: int
    """Attempts at delivery of which it is certain that they posted nothing."""
    revision: str | None
    """Of the webhook that brought it; None for what was asked for by hand."""
    settings_revision: int
    """Of the tenant's settings it was gathered with; 0 until then."""
    replay_of: EnhancementId | None
    trace_context: str
    steps: tuple[TakenStep, ...]
    inputs: WriteBriefRequest | None
    answer: WriteBriefResponse | None
    usage: Usage | None
    note: Note | None
    failure: Failure | None
    create_time: datetime
    start_time: datetime | None
    next_attempt_time: datetime | None
    end_time: datetime | None
    earlier: Earlier | None = None
    """Asked for only when a worker takes up what a webhook brought."""


@dataclass(frozen=True, slots=True)
class Feedback:
    id: str
    enhancement_id: EnhancementId
    evidence_id: str
    helpful: bool | None
    rating: int | None
    comment: str
    author: str
    create_time: datetime
    withdrawn: bool = False
    """The person's thumb on the citation is taken back."""


class DocumentKind(StrEnum):
    """Of what is ranked by what people think of it."""

    TICKET = "ticket"
    ARTICLE = "article"


@dataclass(frozen=True, slots=True)
class Document:
    """What a citation is of, as the service that keeps it names it."""

    kind: DocumentKind
    source: str
    id: str
