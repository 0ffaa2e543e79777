"""Builds the service, and translates between its contract and its deeds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Final

import grpc
from opentelemetry import propagate
from uuid_utils import uuid7

from dossier.orchestrator.v1 import orchestrator_service_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import (
    OrchestratorServiceServicer,
    add_OrchestratorServiceServicer_to_server,
)
from services.orchestrator import convert, telemetry
from services.orchestrator.acceptance import Acceptance
from services.orchestrator.attempts import Patience
from services.orchestrator.engine import Engine, EngineSettings
from services.orchestrator.engine.backlog import backlog
from services.orchestrator.errors import RoleRequired
from services.orchestrator.feedback import submit_feedback
from services.orchestrator.model import Accepted, EnhancementId, Offer, Run, TenantId
from services.orchestrator.note import Notes
from services.orchestrator.pace import Pace
from services.orchestrator.peers import Peers
from services.orchestrator.runs import Runs
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store import TenantEnhancements
from services.orchestrator.tool import Tools, tool_http
from services.orchestrator.watch import changes
from services.runtime.caller import current_caller, current_tenant
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from ticketing.discovery import load_tools

_GATEWAY: Final = "gateway"
_PAGE: Final = 50
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
    http = tool_http(settings.tool_seconds)
    closers.push_async_callback(http.aclose)
    pace = Pace.at(
        settings.redis_url.get_secret_value() if settings.redis_url else None,
        redis_seconds=settings.redis_seconds,
    )
    closers.push_async_callback(pace.close)
    runs = Runs(
        database=database,
        peers=peers,
        tools=Tools(load_tools(), http, peers, pace),
        notes=Notes(public_url=str(settings.public_url) if settings.public_url else None),
        patience=Patience(settings.run_seconds, settings.patience_seconds),
    )
    engine = Engine(
        EngineSettings(
            database_url=settings.database_url.get_secret_value(),
            executor_id=settings.executor_id,
            worker_concurrency=settings.worker_concurrency,
            tenant_concurrency=settings.tenant_concurrency,
            pool_max=settings.engine_pool_max,
            grace_seconds=min(settings.drain_seconds, _STEP_GRACE_SECONDS),
        ),
        database=database,
        workflows=runs.workflows(),
    )
    closers.push_async_callback(engine.close)
    servicer = OrchestratorServicer(database)
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["OrchestratorService"],
                lambda server: add_OrchestratorServiceServicer_to_server(servicer, server),
            )
        ],
        checks={"postgresql": database.check, "engine": engine.check},
        background=[engine.start, lambda: _show_backlog(database)],
    )


async def _show_backlog(database: Database) -> None:
    while True:
        # Readiness tells of a lost database; the numbers stand as they were.
        with suppress(DependencyUnavailable):
            telemetry.show_backlog(await backlog(database))
        await asyncio.sleep(_BACKLOG_SECONDS)


class OrchestratorServicer(OrchestratorServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._acceptance = Acceptance(database)

    async def SubmitEnhancements(
        self,
        request: pb.SubmitEnhancementsRequest,
        context: grpc.aio.ServicerContext[pb.SubmitEnhancementsRequest, pb.SubmitEnhancementsResponse],
    ) -> pb.SubmitEnhancementsResponse:
        _require_gateway()
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
        (accepted,) = await self._accept([convert.offer_by_hand(request, run)])
        enhancement = await self._enhancements().read(accepted.id)
        return pb.CreateEnhancementResponse(enhancement=convert.enhancement_message(enhancement))

    async def GetEnhancement(
        self,
        request: pb.GetEnhancementRequest,
        context: grpc.aio.ServicerContext[pb.GetEnhancementRequest, pb.GetEnhancementResponse],
    ) -> pb.GetEnhancementResponse:
        enhancement = await self._enhancements().read(request.enhancement_id)
        return pb.GetEnhancementResponse(enhancement=convert.enhancement_message(enhancement))

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

    async def SubmitFeedback(
        self,
        request: pb.SubmitFeedbackRequest,
        context: grpc.aio.ServicerContext[pb.SubmitFeedbackRequest, pb.SubmitFeedbackResponse],
    ) -> pb.SubmitFeedbackResponse:
        _require_writer()
        feedback = await submit_feedback(self._enhancements(), request)
        return pb.SubmitFeedbackResponse(feedback=convert.feedback_message(feedback))

    def _enhancements(self) -> TenantEnhancements:
        return TenantEnhancements(self._database, TenantId(current_tenant()))

    async def _accept(self, offers: list[Offer]) -> list[Accepted]:
        trace: dict[str, str] = {}
        propagate.inject(trace)
        accepted = await self._acceptance.accept(offers, trace_context=trace.get("traceparent", ""))
        telemetry.count_accepted(accepted)
        return accepted


def _new_id() -> EnhancementId:
    return EnhancementId(str(uuid7()))


def _require_gateway() -> None:
    caller = current_caller()
    if (caller.subject, caller.role) != (_GATEWAY, "service"):
        raise RoleRequired("only the gateway submits webhooks", metadata={"subject": caller.subject})


def _require_writer() -> None:
    caller = current_caller()
    if caller.role == "viewer":
        raise RoleRequired("a viewer may only read", metadata={"role": caller.role})
