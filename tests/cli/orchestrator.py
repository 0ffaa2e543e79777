"""The controls of the contract without an engine: real gRPC, and runs that end when they are watched."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.protobuf.message import Message
from structlog.testing import capture_logs

from cli.instance import Instance, InstanceRecord, Phase, ProcessMark
from cli.ports import SERVICES
from cli.show.steps import ENDED
from dossier.orchestrator.v1 import enhancement_pb2, orchestrator_service_pb2_grpc
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.queue_pb2 import QUEUE_WEIGHT_STANDARD, Queue
from services.runtime.caller import Caller, current_caller, current_tenant
from services.runtime.errors import ServiceError
from services.runtime.serve import Service, serving
from services.runtime.settings import ServiceSettings
from services.runtime.tokens import generate_keys

_DESCRIPTOR = pb.DESCRIPTOR.services_by_name["OrchestratorService"]
_DEFAULT_CAP = 4


class NotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ENHANCEMENT_NOT_FOUND"


class Ended(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "ENHANCEMENT_ENDED"


class NotReplayable(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "ENHANCEMENT_NOT_REPLAYABLE"


@dataclass(slots=True)
class FakeOrchestrator(orchestrator_service_pb2_grpc.OrchestratorServiceServicer):
    enhancements: dict[str, enhancement_pb2.Enhancement] = field(default_factory=dict)
    outcome: enhancement_pb2.Enhancement = field(default_factory=enhancement_pb2.Enhancement)
    """What a run becomes when it is watched to its end."""
    waits: list[enhancement_pb2.Enhancement] = field(default_factory=list)
    """What a watch shows before that."""
    failed: dict[str, int] = field(default_factory=dict)
    """How many have failed, by reason."""
    fails_meanwhile: int = 0
    """How many fail anew after each batch that is tried again."""
    queue: Queue = field(
        default_factory=lambda: Queue(weight=QUEUE_WEIGHT_STANDARD, max_in_progress=_DEFAULT_CAP)
    )
    paused: set[str | None] = field(default_factory=set)
    asked: list[Any] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)

    async def GetEnhancement(self, request: pb.GetEnhancementRequest, _context: Any) -> Any:
        return pb.GetEnhancementResponse(enhancement=self._one(request.enhancement_id))

    async def ListEnhancements(self, request: pb.ListEnhancementsRequest, _context: Any) -> Any:
        self._hear(request)
        return pb.ListEnhancementsResponse(
            enhancements=[each for each in self.enhancements.values() if each.state == request.state]
        )

    async def WatchEnhancement(
        self, request: pb.WatchEnhancementRequest, _context: Any
    ) -> AsyncIterator[pb.WatchEnhancementResponse]:
        one = self._one(request.enhancement_id)
        for shown in self.waits:
            yield pb.WatchEnhancementResponse(enhancement=shown)
        if one.state not in ENDED:
            one.MergeFrom(self.outcome)
        yield pb.WatchEnhancementResponse(enhancement=one)

    async def CancelEnhancement(self, request: pb.CancelEnhancementRequest, _context: Any) -> Any:
        one = self._one(request.enhancement_id)
        if one.state in ENDED - {enhancement_pb2.ENHANCEMENT_STATE_CANCELLED}:
            raise Ended("it has ended")
        one.state = enhancement_pb2.ENHANCEMENT_STATE_CANCELLED
        return pb.CancelEnhancementResponse(enhancement=one)

    async def RetryEnhancement(self, request: pb.RetryEnhancementRequest, _context: Any) -> Any:
        one = self._one(request.enhancement_id)
        if one.state == enhancement_pb2.ENHANCEMENT_STATE_SUCCEEDED:
            raise Ended("it has succeeded")
        one.state = enhancement_pb2.ENHANCEMENT_STATE_QUEUED
        one.ClearField("failure")
        return pb.RetryEnhancementResponse(enhancement=one)

    async def RetryFailedEnhancements(self, request: pb.RetryFailedEnhancementsRequest, _context: Any) -> Any:
        self._hear(request)
        matching = [reason for reason in self.failed if request.reason in {"", reason}]
        retried = left = min(self._failed(matching), request.limit or 1000)
        if request.dry_run:
            return pb.RetryFailedEnhancementsResponse(
                retried=retried, remaining=self._failed(matching) - retried
            )
        for reason in matching:
            taken = min(self.failed[reason], left)
            self.failed[reason] += self.fails_meanwhile - taken
            left -= taken
        return pb.RetryFailedEnhancementsResponse(retried=retried, remaining=self._failed(matching))

    async def ReplayEnhancement(self, request: pb.ReplayEnhancementRequest, _context: Any) -> Any:
        self._hear(request)
        one = self._one(request.enhancement_id)
        if not one.HasField("brief"):
            raise NotReplayable("its inputs were never gathered")
        made = enhancement_pb2.Enhancement(
            id=f"{one.id}-again",
            replay_of=one.id,
            ticket=one.ticket,
            state=enhancement_pb2.ENHANCEMENT_STATE_QUEUED,
        )
        self.enhancements[made.id] = made
        return pb.ReplayEnhancementResponse(enhancement=made)

    async def GetQueue(self, request: pb.GetQueueRequest, _context: Any) -> Any:
        self._hear(request)
        return pb.GetQueueResponse(queue=self._queue())

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, _context: Any) -> Any:
        self._hear(request)
        current_tenant()
        if request.HasField("weight"):
            self.queue.weight = request.weight
        if request.HasField("max_in_progress"):
            self.queue.max_in_progress = request.max_in_progress or _DEFAULT_CAP
        return pb.UpdateQueueResponse(queue=self._queue())

    async def PauseQueue(self, request: pb.PauseQueueRequest, _context: Any) -> Any:
        self._hear(request)
        self.paused.add(current_caller().tenant)
        return pb.PauseQueueResponse(queue=self._queue())

    async def ResumeQueue(self, request: pb.ResumeQueueRequest, _context: Any) -> Any:
        self._hear(request)
        self.paused.discard(current_caller().tenant)
        return pb.ResumeQueueResponse(queue=self._queue())

    def _hear(self, request: Message) -> None:
        self.asked.append(request)
        self.callers.append(current_caller())

    def _failed(self, reasons: list[str]) -> int:
        return sum(self.failed[reason] for reason in reasons)

    def _one(self, enhancement_id: str) -> enhancement_pb2.Enhancement:
        self.callers.append(current_caller())
        if enhancement_id not in self.enhancements:
            raise NotFound(f"there is no enhancement {enhancement_id}")
        return self.enhancements[enhancement_id]

    def _queue(self) -> Queue:
        tenant = current_caller().tenant
        shown = Queue()
        shown.CopyFrom(self.queue)
        shown.paused = bool(self.paused & {tenant, None})
        if tenant is None:
            shown.ClearField("weight")
            shown.ClearField("max_in_progress")
        return shown


@asynccontextmanager
async def instance_of(orchestrator: FakeOrchestrator, home: Path) -> AsyncIterator[Instance]:
    """An instance whose one service is this orchestrator."""
    instance = Instance(home)
    generate_keys(instance.keys)
    settings = ServiceSettings(grpc_port=0, metrics_port=0, token_jwks_file=instance.jwks)

    async def build(_settings: ServiceSettings, _closers: AsyncExitStack) -> Service:
        add = orchestrator_service_pb2_grpc.add_OrchestratorServiceServicer_to_server
        return Service([(_DESCRIPTOR, lambda server: add(orchestrator, server))], {})

    # Its log would be on the standard output that belongs to the command.
    with capture_logs():
        async with serving("orchestrator", settings, build) as running:
            instance.write(
                InstanceRecord(
                    phase=Phase.RUNNING,
                    supervisor=ProcessMark(pid=os.getpid(), created=psutil.Process().create_time()),
                    gateway_port=0,
                    public_url="http://localhost:0",
                    first_service_port=running.port - SERVICES.index("orchestrator"),
                    database="embedded",
                    redis="embedded",
                )
            )
            yield instance
