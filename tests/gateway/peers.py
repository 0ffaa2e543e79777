"""The services behind the gateway, small but real: the kernel's servers, the contracts' RPCs, switches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1 import history_service_pb2_grpc
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.network.v1 import network_service_pb2 as network
from dossier.network.v1 import network_service_pb2_grpc
from dossier.orchestrator.v1 import enhancement_pb2, orchestrator_service_pb2_grpc, queue_pb2
from dossier.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from dossier.tenants.v1 import api_key_pb2, tenant_pb2, tenant_service_pb2_grpc
from dossier.tenants.v1 import tenant_service_pb2 as tenants
from dossier.tenants.v1.tenant_pb2 import TenantLimits
from services.runtime.caller import Caller, current_caller, current_tenant
from services.runtime.errors import DependencyUnavailable, ServiceError, Unauthenticated
from services.runtime.request_id import current_request_id
from services.runtime.serve import RunningService, Service, serving
from services.runtime.settings import ServiceSettings, settings_config
from tests.support.keys import Keys


class PeerSettings(ServiceSettings):
    model_config = settings_config("peer")

    metrics_port: int = 0
    drain_seconds: float = 0


class KeyInvalid(Unauthenticated):
    reason = "API_KEY_INVALID"


class TenantNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "TENANT_NOT_FOUND"


class Refused(ServiceError):
    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "TICKET_REFUSED"


class EnhancementNotFound(ServiceError):
    code = grpc.StatusCode.NOT_FOUND
    reason = "ENHANCEMENT_NOT_FOUND"


def ending_with(code: grpc.StatusCode) -> ServiceError:
    kind = type("Ended", (ServiceError,), {"code": code, "reason": f"BECAUSE_{code.name}"})
    error: ServiceError = kind(f"ended with {code.name}", metadata={"why": "asked for"}, field="ticket_id")
    return error


@dataclass(slots=True)
class Peer:
    """What the peers share: what they were asked, by whom, and whether PostgreSQL is there."""

    asked: list[tuple[str, Message]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    request_ids: list[str | None] = field(default_factory=list)
    failure: ServiceError | None = None

    def hear(self, name: str, request: Message) -> None:
        self.asked.append((name, request))
        self.callers.append(current_caller())
        self.request_ids.append(current_request_id())
        if self.failure is not None:
            raise self.failure

    def heard(self, name: str) -> list[Any]:
        return [request for asked, request in self.asked if asked == name]

    async def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def lose_database(self) -> None:
        self.failure = DependencyUnavailable("postgresql", "refuses connections")


@dataclass(slots=True)
class Tenants(Peer, tenant_service_pb2_grpc.TenantServiceServicer):
    secrets: dict[tuple[str, str], list[tenants.WebhookSecret]] = field(default_factory=dict)
    keys: dict[str, tuple[str, "api_key_pb2.Role.ValueType"]] = field(default_factory=dict)
    archive: list[bytes | ServiceError | asyncio.Event] = field(default_factory=list, repr=False)
    exports_ended: int = 0
    secrets_wait: asyncio.Event | None = None
    limits: dict[str, TenantLimits] = field(default_factory=dict)
    states: dict[str, "tenant_pb2.TenantState.ValueType"] = field(default_factory=dict)

    async def ListWebhookSecrets(self, request: tenants.ListWebhookSecretsRequest, _context: Any) -> Any:
        self.hear("ListWebhookSecrets", request)
        if self.secrets_wait is not None:
            await self.secrets_wait.wait()
        found = self.secrets.get((request.tenant_id, request.tool), [])
        return tenants.ListWebhookSecretsResponse(secrets=found, limits=self.limits.get(request.tenant_id))

    async def GetTenant(self, request: tenants.GetTenantRequest, _context: Any) -> Any:
        self.hear("GetTenant", request)
        if request.tenant_id not in self.states:
            raise TenantNotFound("there is no such tenant")
        return tenants.GetTenantResponse(
            tenant=tenant_pb2.Tenant(
                id=request.tenant_id,
                state=self.states[request.tenant_id],
                limits=self.limits.get(request.tenant_id),
            )
        )

    async def RecordWebhookSecretUses(
        self, request: tenants.RecordWebhookSecretUsesRequest, _context: Any
    ) -> Any:
        self.hear("RecordWebhookSecretUses", request)
        return tenants.RecordWebhookSecretUsesResponse()

    async def AuthenticateApiKey(self, request: tenants.AuthenticateApiKeyRequest, _context: Any) -> Any:
        self.hear("AuthenticateApiKey", request)
        if request.api_key not in self.keys:
            raise KeyInvalid("the API key is unknown")
        tenant, role = self.keys[request.api_key]
        return tenants.AuthenticateApiKeyResponse(
            tenant_id=tenant,
            role=role,
            key_id=f"id-of-{request.api_key.removeprefix('dsk_')}",
            limits=self.limits.get(tenant),
        )

    async def ExportTenant(self, request: tenants.ExportTenantRequest, _context: Any) -> AsyncIterator[Any]:
        self.hear("ExportTenant", request)
        try:
            for part in self.archive:
                match part:
                    case ServiceError():
                        raise part
                    case asyncio.Event():
                        await part.wait()
                    case _:
                        yield tenants.ExportTenantResponse(archive=part)
        finally:
            self.exports_ended += 1

    async def UpdateTenant(self, request: tenants.UpdateTenantRequest, _context: Any) -> Any:
        self.hear("UpdateTenant", request)
        return tenants.UpdateTenantResponse(tenant=tenant_pb2.Tenant(id=request.tenant_id, etag="8"))

    async def ListTenants(self, request: tenants.ListTenantsRequest, _context: Any) -> Any:
        self.hear("ListTenants", request)
        return tenants.ListTenantsResponse()

    async def SuspendTenant(self, request: tenants.SuspendTenantRequest, _context: Any) -> Any:
        self.hear("SuspendTenant", request)
        return tenants.SuspendTenantResponse()

    async def CreateApiKey(self, request: tenants.CreateApiKeyRequest, _context: Any) -> Any:
        self.hear("CreateApiKey", request)
        return tenants.CreateApiKeyResponse()

    async def CreateTenant(self, request: tenants.CreateTenantRequest, _context: Any) -> Any:
        self.hear("CreateTenant", request)
        return tenants.CreateTenantResponse(tenant=request.tenant)


@dataclass(slots=True)
class Orchestrator(Peer, orchestrator_service_pb2_grpc.OrchestratorServiceServicer):
    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: set[str] = field(default_factory=set)
    updates: "asyncio.Queue[enhancement_pb2.EnhancementState.ValueType | None]" = field(
        default_factory=asyncio.Queue
    )
    watchers: int = 0

    async def SubmitEnhancements(self, request: orchestrator.SubmitEnhancementsRequest, _context: Any) -> Any:
        self.batches.append(len(request.submissions))
        self.hear("SubmitEnhancements", request)
        await self.open.wait()
        if self.refuses & {each.ticket.id for each in request.submissions}:
            raise Refused("a ticket that cannot be kept")
        response = orchestrator.SubmitEnhancementsResponse()
        for each in request.submissions:
            key = (each.tenant_id, each.revision)
            created = key not in self.kept
            kept = self.kept.setdefault(key, f"enh-{each.ticket.id}")
            response.results.add(enhancement_id=kept, created=created)
        return response

    @property
    def submissions(self) -> list[orchestrator.Submission]:
        return [each for batch in self.heard("SubmitEnhancements") for each in batch.submissions]

    async def CreateEnhancement(self, request: orchestrator.CreateEnhancementRequest, _context: Any) -> Any:
        self.hear("CreateEnhancement", request)
        return orchestrator.CreateEnhancementResponse(
            enhancement=enhancement_pb2.Enhancement(
                id="enh-1",
                state=enhancement_pb2.ENHANCEMENT_STATE_QUEUED,
                ticket=request.ticket,
                deliver=request.deliver,
            )
        )

    async def ListEnhancements(self, request: orchestrator.ListEnhancementsRequest, _context: Any) -> Any:
        self.hear("ListEnhancements", request)
        return orchestrator.ListEnhancementsResponse()

    async def CancelEnhancement(self, request: orchestrator.CancelEnhancementRequest, _context: Any) -> Any:
        self.hear("CancelEnhancement", request)
        return orchestrator.CancelEnhancementResponse(
            enhancement=enhancement_pb2.Enhancement(
                id=request.enhancement_id, state=enhancement_pb2.ENHANCEMENT_STATE_CANCELLED
            )
        )

    async def RetryEnhancement(self, request: orchestrator.RetryEnhancementRequest, _context: Any) -> Any:
        self.hear("RetryEnhancement", request)
        return orchestrator.RetryEnhancementResponse()

    async def RetryFailedEnhancements(
        self, request: orchestrator.RetryFailedEnhancementsRequest, _context: Any
    ) -> Any:
        self.hear("RetryFailedEnhancements", request)
        return orchestrator.RetryFailedEnhancementsResponse(retried=2, remaining=1)

    async def ReplayEnhancement(self, request: orchestrator.ReplayEnhancementRequest, _context: Any) -> Any:
        self.hear("ReplayEnhancement", request)
        return orchestrator.ReplayEnhancementResponse(
            enhancement=enhancement_pb2.Enhancement(id="enh-2", replay_of=request.enhancement_id)
        )

    async def GetQueue(self, request: orchestrator.GetQueueRequest, _context: Any) -> Any:
        self.hear("GetQueue", request)
        return orchestrator.GetQueueResponse(queue=queue_pb2.Queue(waiting=3, failed=1))

    async def UpdateQueue(self, request: orchestrator.UpdateQueueRequest, _context: Any) -> Any:
        self.hear("UpdateQueue", request)
        current_tenant()
        return orchestrator.UpdateQueueResponse()

    async def PauseQueue(self, request: orchestrator.PauseQueueRequest, _context: Any) -> Any:
        self.hear("PauseQueue", request)
        return orchestrator.PauseQueueResponse(queue=queue_pb2.Queue(paused=True))

    async def ResumeQueue(self, request: orchestrator.ResumeQueueRequest, _context: Any) -> Any:
        self.hear("ResumeQueue", request)
        return orchestrator.ResumeQueueResponse()

    async def WatchEnhancement(
        self, request: orchestrator.WatchEnhancementRequest, _context: Any
    ) -> AsyncIterator[orchestrator.WatchEnhancementResponse]:
        self.hear("WatchEnhancement", request)
        if request.enhancement_id == "unknown":
            raise EnhancementNotFound("there is no such enhancement")
        self.watchers += 1
        try:
            while (state := await self.updates.get()) is not None:
                yield orchestrator.WatchEnhancementResponse(
                    enhancement=enhancement_pb2.Enhancement(id=request.enhancement_id, state=state)
                )
        finally:
            self.watchers -= 1


@dataclass(slots=True)
class History(Peer, history_service_pb2_grpc.HistoryServiceServicer):
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set, a stream's rows are not read on."""
    streams: int = 0
    batches: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    remembers: bool = True

    async def ImportTickets(
        self, requests: AsyncIterator[history.ImportTicketsRequest], _context: Any
    ) -> history.ImportTicketsResponse:
        """A row without a title is rejected, as by the real one."""
        response = history.ImportTicketsResponse()
        self.streams += 1
        position = 0
        try:
            async for request in requests:
                await self.takes.wait()
                if self.remembers:
                    self.hear("ImportTickets", request)
                    self.ids += [row.id for row in request.tickets]
                self.batches.append(len(request.tickets))
                for row in request.tickets:
                    position += 1
                    if row.title:
                        response.created_count += 1
                        continue
                    response.rejected_count += 1
                    if len(response.rejected) < 100:
                        response.rejected.add(
                            row=position, id=row.id, field="title", reason="must not be empty"
                        )
        finally:
            self.streams -= 1
        return response

    async def GetTicket(self, request: history.GetTicketRequest, context: Any) -> Any:
        """`code-NOT_FOUND` ends with a reason, `bare-NOT_FOUND` without, `slow` only when cancelled."""
        self.hear("GetTicket", request)
        kind, _, rest = request.ticket_id.partition("-")
        if kind == "code":
            raise ending_with(grpc.StatusCode[rest])
        if kind == "bare":
            await context.abort(grpc.StatusCode[rest], "secret://inner:5432 is broken")
        if kind == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        return history.GetTicketResponse(ticket=PastTicket(id=request.ticket_id, title="Printer jams"))

    async def SearchSimilarTickets(self, request: history.SearchSimilarTicketsRequest, _context: Any) -> Any:
        self.hear("SearchSimilarTickets", request)
        return history.SearchSimilarTicketsResponse()

    async def RecordTicket(self, request: history.RecordTicketRequest, _context: Any) -> Any:
        self.hear("RecordTicket", request)
        return history.RecordTicketResponse(ticket=request.ticket, created=True)

    async def ListTickets(self, request: history.ListTicketsRequest, _context: Any) -> Any:
        self.hear("ListTickets", request)
        return history.ListTicketsResponse()


@dataclass(slots=True)
class Network(Peer, network_service_pb2_grpc.NetworkServiceServicer):
    async def DeletePrefix(self, request: network.DeletePrefixRequest, _context: Any) -> Any:
        self.hear("DeletePrefix", request)
        return network.DeletePrefixResponse()


_ADD: Mapping[str, Callable[[Any, grpc.aio.Server], None]] = {
    "tenants": tenant_service_pb2_grpc.add_TenantServiceServicer_to_server,
    "orchestrator": orchestrator_service_pb2_grpc.add_OrchestratorServiceServicer_to_server,
    "history": history_service_pb2_grpc.add_HistoryServiceServicer_to_server,
    "network": network_service_pb2_grpc.add_NetworkServiceServicer_to_server,
}
_CONTRACTS: Mapping[str, ServiceDescriptor] = {
    "tenants": tenants.DESCRIPTOR.services_by_name["TenantService"],
    "orchestrator": orchestrator.DESCRIPTOR.services_by_name["OrchestratorService"],
    "history": history.DESCRIPTOR.services_by_name["HistoryService"],
    "network": network.DESCRIPTOR.services_by_name["NetworkService"],
}


@asynccontextmanager
async def peer(name: str, servicer: Peer, keys: Keys, *, port: int = 0) -> AsyncIterator[RunningService]:
    async def build(_settings: PeerSettings, _closers: AsyncExitStack) -> Service:
        adders = [(_CONTRACTS[name], lambda server: _ADD[name](servicer, server))]
        return Service(adders, checks={"postgresql": servicer.check})

    settings = PeerSettings(grpc_port=port, token_jwks_file=keys.jwks_file)
    async with serving(name, settings, build) as running:
        yield running
