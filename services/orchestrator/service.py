"""Builds the service, and translates between its contract and its deeds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Final

import grpc
from uuid_utils import uuid7

from audit.event import current_actor
from audit.relay import Relay
from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    add_OrchestratorServiceServicer_to_server,
)
from dossier.tenants.v1.tenant_pb2 import QueueSettings
from services.orchestrator import convert, telemetry
from services.orchestrator.acceptance import Acceptance
from services.orchestrator.attempts import Patience
from services.orchestrator.control import cancel, replay, retry, retry_failed
from services.orchestrator.engine import Engine, EngineSettings
from services.orchestrator.engine.backlog import backlog
from services.orchestrator.engine.retention import keep_small
from services.orchestrator.errors import RoleRequired
from services.orchestrator.feedback import submit_feedback
from services.orchestrator.model import Accepted, EnhancementId, Offer, Run, TenantId
from services.orchestrator.note import Notes
from services.orchestrator.pace import Pace
from services.orchestrator.peers import Peers
from services.orchestrator.queue import Queue
from services.orchestrator.ratings import Ratings
from services.orchestrator.runs import Runs
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.shares import Shares
from services.orchestrator.store import TenantEnhancements
from services.orchestrator.tenant_data import tenant_rows
from services.orchestrator.tool import Tools, ToolSessions
from services.orchestrator.watch import changes
from services.runtime.caller import current_caller, current_tenant
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.runtime.notices import hear
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from tenantdata.servicer import serving_rows
from ticketing.discovery import load_tools

_GATEWAY: Final = "gateway"
_PAGE: Final = 50
_MOST_RETRIED: Final = 1000
_BACKLOG_SECONDS: Final = 5.0
# Most steps end within it; a longer wait would be for those that a slow peer or a backoff keeps anyway.
_STEP_GRACE_SECONDS: Final = 3.0


async def build(settings: OrchestratorSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_orchestrator",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    peers = Peers(settings, closers)
    http = ToolSessions(settings.permitted_networks, settings.tool_seconds)
    closers.push_async_callback(http.close)
    pace = Pace.at(
        settings.redis_url.get_secret_value() if settings.redis_url else None,
        redis_seconds=settings.redis_seconds,
    )
    closers.push_async_callback(pace.close)
    tools = Tools(load_tools(), http, peers, pace, believed_seconds=settings.tenant_cache_seconds)
    runs = Runs(
        database=database,
        peers=peers,
        tools=tools,
        notes=Notes(public_url=str(settings.public_url) if settings.public_url else None),
        patience=Patience(settings.run_seconds, settings.patience_seconds),
        tool_seconds=settings.tool_seconds,
    )
    acceptance = Acceptance(database, settle_seconds=settings.settle_seconds)
    engine = Engine(
        EngineSettings(
            database_url=(settings.engine_database_url or settings.database_url).get_secret_value(),
            executor_id=settings.executor_id,
            worker_concurrency=settings.worker_concurrency,
            tenant_concurrency=settings.tenant_concurrency,
            pool_max=settings.engine_pool_max,
            lease_seconds=settings.lease_seconds,
            grace_seconds=min(settings.drain_seconds, _STEP_GRACE_SECONDS),
        ),
        database=database,
        workflows=runs.workflows(lease_seconds=lambda: engine.lease_seconds),
        pressed=lambda: acceptance.pressed,
    )
    closers.push_async_callback(engine.close)
    shares = Shares(database, peers)
    servicer = OrchestratorServicer(database, acceptance, shares, default_cap=settings.tenant_concurrency)

    def forget(tenant: str | None) -> None:
        tools.forget(tenant)
        shares.tell(tenant)

    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["OrchestratorService"],
                lambda server: add_OrchestratorServiceServicer_to_server(servicer, server),
            ),
            serving_rows(tenant_rows(database, retention_days=settings.retention_days)),
        ],
        checks={"postgresql": database.check, "engine": engine.check},
        background=[
            engine.run,
            lambda: hear("tenants", settings, forget=forget),
            shares.follow,
            Ratings(database, peers).follow,
            Relay.open("orchestrator", database, settings, closers).run,
            lambda: _show_backlog(database),
            lambda: keep_small(database),
        ],
    )


async def _show_backlog(database: Database) -> None:
    while True:
        # Readiness tells of a lost database; the numbers stand as they were.
        with suppress(DependencyUnavailable, TimeoutError):
            telemetry.show_backlog(await backlog(database))
        await asyncio.sleep(_BACKLOG_SECONDS)


class OrchestratorServicer(OrchestratorServiceServicer):
    def __init__(
        self, database: Database, acceptance: Acceptance, shares: Shares, *, default_cap: int
    ) -> None:
        self._database = database
        self._shares = shares
        self._default_cap = default_cap
        self._acceptance = acceptance

    async def SubmitEnhancements(
        self,
        request: pb.SubmitEnhancementsRequest,
        context: grpc.aio.ServicerContext[pb.SubmitEnhancementsRequest, pb.SubmitEnhancementsResponse],
    ) -> pb.SubmitEnhancementsResponse:
        _require_gateway(request)
        accepted = await self._accept([convert.offer_of(each, _new_id()) for each in request.submissions])
        return pb.SubmitEnhancementsResponse(
            results=[pb.SubmitResult(enhancement_id=each.id, created=each.created) for each in accepted]
        )

    async def CreateEnhancement(
        self,
        request: pb.CreateEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.CreateEnhancementRequest, pb.CreateEnhancementResponse],
    ) -> pb.CreateEnhancementResponse:
        _require_writer()
        run = Run(TenantId(current_tenant()), _new_id())
        accepted = await self._acceptance.accept_by_hand(
            convert.offer_by_hand(request, run), by=current_actor()
        )
        telemetry.count_accepted([accepted])
        return pb.CreateEnhancementResponse(enhancement=await self._message(accepted.id))

    async def GetEnhancement(
        self,
        request: pb.GetEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.GetEnhancementRequest, pb.GetEnhancementResponse],
    ) -> pb.GetEnhancementResponse:
        return pb.GetEnhancementResponse(enhancement=await self._message(request.enhancement_id))

    async def ListEnhancements(
        self,
        request: pb.ListEnhancementsRequest,
        context: grpc.aio.ServicerContext[pb.ListEnhancementsRequest, pb.ListEnhancementsResponse],
    ) -> pb.ListEnhancementsResponse:
        tokens = PageTokens("ListEnhancements", current_tenant(), f"{request.state} {request.ticket_id}")
        size = request.page_size or _PAGE
        found = await self._enhancements().page(
            size=size + 1,
            before=convert.id_of_page(tokens.decode(request.page_token)),
            state=convert.STATES.get(request.state),
            ticket_id=request.ticket_id or None,
        )
        page = found[:size]
        return pb.ListEnhancementsResponse(
            enhancements=map(convert.enhancement_message, page),
            next_page_token=tokens.encode(page[-1].run.id) if len(found) > size else "",
        )

    async def WatchEnhancement(
        self,
        request: pb.WatchEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.WatchEnhancementRequest, pb.WatchEnhancementResponse],
    ) -> AsyncIterator[pb.WatchEnhancementResponse]:
        async for enhancement in changes(self._enhancements(), request.enhancement_id):
            yield pb.WatchEnhancementResponse(enhancement=convert.enhancement_message(enhancement))

    async def CancelEnhancement(
        self,
        request: pb.CancelEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.CancelEnhancementRequest, pb.CancelEnhancementResponse],
    ) -> pb.CancelEnhancementResponse:
        _require_writer()
        tenant = TenantId(current_tenant())
        await cancel(self._database, tenant, request.enhancement_id, by=current_actor())
        return pb.CancelEnhancementResponse(enhancement=await self._message(request.enhancement_id))

    async def RetryEnhancement(
        self,
        request: pb.RetryEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.RetryEnhancementRequest, pb.RetryEnhancementResponse],
    ) -> pb.RetryEnhancementResponse:
        _require_writer()
        tenant = TenantId(current_tenant())
        await retry(self._database, tenant, request.enhancement_id, by=current_actor())
        return pb.RetryEnhancementResponse(enhancement=await self._message(request.enhancement_id))

    async def RetryFailedEnhancements(
        self,
        request: pb.RetryFailedEnhancementsRequest,
        context: grpc.aio.ServicerContext[
            pb.RetryFailedEnhancementsRequest, pb.RetryFailedEnhancementsResponse
        ],
    ) -> pb.RetryFailedEnhancementsResponse:
        _require_writer()
        retried, remaining = await retry_failed(
            self._database,
            TenantId(current_tenant()),
            reason=request.reason or None,
            limit=request.limit or _MOST_RETRIED,
            dry_run=request.dry_run,
            by=current_actor(),
        )
        return pb.RetryFailedEnhancementsResponse(retried=retried, remaining=remaining)

    async def ReplayEnhancement(
        self,
        request: pb.ReplayEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.ReplayEnhancementRequest, pb.ReplayEnhancementResponse],
    ) -> pb.ReplayEnhancementResponse:
        _require_writer()
        accepted = await replay(
            self._database,
            await self._enhancements().read(request.enhancement_id),
            _new_id(),
            model=request.model,
            instructions=request.instructions,
            request_id=request.request_id or None,
            by=current_actor(),
        )
        return pb.ReplayEnhancementResponse(enhancement=await self._message(accepted.id))

    async def GetQueue(
        self,
        request: pb.GetQueueRequest,
        context: grpc.aio.ServicerContext[pb.GetQueueRequest, pb.GetQueueResponse],
    ) -> pb.GetQueueResponse:
        if current_caller().tenant is None:
            _require_operator()
        return pb.GetQueueResponse(queue=convert.queue_message(await self._queue().state()))

    async def UpdateQueue(
        self,
        request: pb.UpdateQueueRequest,
        context: grpc.aio.ServicerContext[pb.UpdateQueueRequest, pb.UpdateQueueResponse],
    ) -> pb.UpdateQueueResponse:
        _require_operator()
        paths = [f"queue.{field.name}" for field, _ in request.ListFields()]
        if paths:
            wanted = QueueSettings(weight=request.weight, max_in_progress=request.max_in_progress)
            await self._shares.change(current_tenant(), wanted, paths)
        queue = Queue(self._database, TenantId(current_tenant()), default_cap=self._default_cap)
        return pb.UpdateQueueResponse(queue=convert.queue_message(await queue.state()))

    async def PauseQueue(
        self,
        request: pb.PauseQueueRequest,
        context: grpc.aio.ServicerContext[pb.PauseQueueRequest, pb.PauseQueueResponse],
    ) -> pb.PauseQueueResponse:
        _require_operator()
        queue = self._queue()
        await queue.pause(by=current_actor())
        return pb.PauseQueueResponse(queue=convert.queue_message(await queue.state()))

    async def ResumeQueue(
        self,
        request: pb.ResumeQueueRequest,
        context: grpc.aio.ServicerContext[pb.ResumeQueueRequest, pb.ResumeQueueResponse],
    ) -> pb.ResumeQueueResponse:
        _require_operator()
        queue = self._queue()
        await queue.resume(by=current_actor())
        return pb.ResumeQueueResponse(queue=convert.queue_message(await queue.state()))

    async def SubmitFeedback(
        self,
        request: pb.SubmitFeedbackRequest,
        context: grpc.aio.ServicerContext[pb.SubmitFeedbackRequest, pb.SubmitFeedbackResponse],
    ) -> pb.SubmitFeedbackResponse:
        _require_writer()
        feedback = await submit_feedback(self._enhancements(), request, by=current_actor())
        return pb.SubmitFeedbackResponse(feedback=convert.feedback_message(feedback))

    async def _message(self, enhancement_id: str) -> Enhancement:
        return convert.enhancement_message(await self._enhancements().read(enhancement_id))

    def _queue(self) -> Queue:
        """The queue of the caller's tenant, or of everybody where its token names none."""
        tenant = current_caller().tenant
        return Queue(
            self._database, None if tenant is None else TenantId(tenant), default_cap=self._default_cap
        )

    def _enhancements(self) -> TenantEnhancements:
        return TenantEnhancements(self._database, TenantId(current_tenant()))

    async def _accept(self, offers: list[Offer]) -> list[Accepted]:
        accepted = await self._acceptance.accept(offers)
        telemetry.count_accepted(accepted)
        return accepted


def _new_id() -> EnhancementId:
    return EnhancementId(str(uuid7()))


def _require_gateway(request: pb.SubmitEnhancementsRequest) -> None:
    """A batch is of many tenants, so that its token names none; one that does is good for that one only."""
    caller = current_caller()
    if (caller.subject, caller.role) != (_GATEWAY, "service"):
        raise RoleRequired("only the gateway submits webhooks", metadata={"subject": caller.subject})
    if caller.tenant is not None and any(each.tenant_id != caller.tenant for each in request.submissions):
        raise RoleRequired("the token is for one client only", metadata={"subject": caller.subject})


def _require_operator() -> None:
    caller = current_caller()
    if caller.role not in {"operator", "service"}:
        raise RoleRequired("only operators steer queues", metadata={"role": caller.role})


def _require_writer() -> None:
    caller = current_caller()
    if caller.role == "viewer":
        raise RoleRequired("a viewer may only read", metadata={"role": caller.role})
