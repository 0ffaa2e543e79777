"""The other services, as calls that end well or as a `PeerFailure`."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal, TypeVar

import grpc
from aiohttp import ThreadedResolver
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from dossier.context.v1 import context_source_service_pb2 as context_pb2
from dossier.context.v1 import context_source_service_pb2_grpc as context_grpc
from dossier.history.v1 import history_service_pb2 as history_pb2
from dossier.history.v1 import history_service_pb2_grpc as history_grpc
from dossier.knowledge.v1 import knowledge_service_pb2 as knowledge_pb2
from dossier.knowledge.v1 import knowledge_service_pb2_grpc as knowledge_grpc
from dossier.network.v1 import network_service_pb2 as network_pb2
from dossier.network.v1 import network_service_pb2_grpc as network_grpc
from dossier.synthesis.v1 import synthesis_service_pb2 as synthesis_pb2
from dossier.synthesis.v1 import synthesis_service_pb2_grpc as synthesis_grpc
from dossier.tenants.v1 import tenant_service_pb2 as tenants_pb2
from dossier.tenants.v1 import tenant_service_pb2_grpc as tenants_grpc
from dossier.tenants.v1.tenant_pb2 import QueueSettings, Tenant
from egress.guard import Refused
from services.orchestrator import telemetry
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.source_channels import SourceChannels
from services.runtime.caller import current_tenant
from services.runtime.channels import open_channel
from services.runtime.errors import error_info
from services.runtime.tls import TlsFiles
from services.runtime.tokens import TokenSigner

T = TypeVar("T")
Kind = Literal["timed_out", "unavailable", "failed"]

SUBJECT: Final = "orchestrator"

# Asked again in the same way, a service answers these again.
_FINAL: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class PeerFailure(Exception):
    """A call to another service failed; `detail` is for a reader, `final` says it would fail again."""

    def __init__(self, peer: str, kind: Kind, detail: str, *, reason: str, final: bool) -> None:
        super().__init__(f"{peer}: {detail}")
        self.peer = peer
        self.kind = kind
        self.detail = detail
        self.reason = reason
        self.final = final


class Peers:
    """Calls made for the tenant at hand (`acting_for`). Nothing connects before the first call."""

    def __init__(self, settings: OrchestratorSettings, closers: AsyncExitStack) -> None:
        self._settings = settings
        self._closers = closers
        self._signer = TokenSigner(settings.token_signing_key_file)
        self._sources = SourceChannels(settings.permitted_networks, ThreadedResolver(), self._source_channel)
        closers.push_async_callback(self._sources.close)
        self._history = history_grpc.HistoryServiceStub(
            self._channel(settings.history_target, "history", history_pb2.DESCRIPTOR)
        )
        self._knowledge = knowledge_grpc.KnowledgeServiceStub(
            self._channel(settings.knowledge_target, "knowledge", knowledge_pb2.DESCRIPTOR)
        )
        self._network = network_grpc.NetworkServiceStub(
            self._channel(settings.network_target, "network", network_pb2.DESCRIPTOR)
        )
        self._synthesis = synthesis_grpc.SynthesisServiceStub(
            self._channel(settings.synthesis_target, "synthesis", synthesis_pb2.DESCRIPTOR)
        )
        self._tenants = tenants_grpc.TenantServiceStub(
            self._channel(settings.tenants_target, "tenants", tenants_pb2.DESCRIPTOR)
        )

    async def similar_tickets(
        self, request: history_pb2.SearchSimilarTicketsRequest
    ) -> history_pb2.SearchSimilarTicketsResponse:
        seconds = self._settings.history_seconds
        return await _answer("history", self._history.SearchSimilarTickets(request, timeout=seconds), seconds)

    async def record_ticket(
        self, request: history_pb2.RecordTicketRequest
    ) -> history_pb2.RecordTicketResponse:
        seconds = self._settings.history_seconds
        return await _answer("history", self._history.RecordTicket(request, timeout=seconds), seconds)

    async def rate_ticket(self, request: history_pb2.RateTicketRequest) -> bool:
        """True when it changed something."""
        seconds = self._settings.history_seconds
        return (await _answer("history", self._history.RateTicket(request, timeout=seconds), seconds)).applied

    async def rate_article(self, request: knowledge_pb2.RateArticleRequest) -> bool:
        """True when it changed something."""
        seconds = self._settings.knowledge_seconds
        call = self._knowledge.RateArticle(request, timeout=seconds)
        return (await _answer("knowledge", call, seconds)).applied

    async def articles(
        self, request: knowledge_pb2.SearchArticlesRequest
    ) -> knowledge_pb2.SearchArticlesResponse:
        seconds = self._settings.knowledge_seconds
        return await _answer("knowledge", self._knowledge.SearchArticles(request, timeout=seconds), seconds)

    async def mentions(
        self, request: network_pb2.LookupMentionsRequest
    ) -> network_pb2.LookupMentionsResponse:
        seconds = self._settings.network_seconds
        return await _answer("network", self._network.LookupMentions(request, timeout=seconds), seconds)

    async def observations(
        self, request: context_pb2.GatherRequest, *, name: str, target: str, seconds: float
    ) -> context_pb2.GatherResponse:
        """Ask a context source of the tenant's own; its token is good for nobody else."""
        started = time.monotonic()
        channel = await self._channel_to_source(name, target, seconds)
        stub = context_grpc.ContextSourceServiceStub(channel)
        left = seconds - (time.monotonic() - started)
        return await _answer(name, stub.Gather(request, timeout=left), seconds)

    async def write_brief(self, request: synthesis_pb2.WriteBriefRequest) -> synthesis_pb2.WriteBriefResponse:
        seconds = self._settings.synthesis_seconds
        return await _answer("synthesis", self._synthesis.WriteBrief(request, timeout=seconds), seconds)

    async def ticketing_access(self) -> tenants_pb2.GetTicketingAccessResponse:
        seconds = self._settings.tenants_seconds
        request = tenants_pb2.GetTicketingAccessRequest()
        return await _answer("tenants", self._tenants.GetTicketingAccess(request, timeout=seconds), seconds)

    async def queue_shares(self) -> Sequence[tenants_pb2.QueueShare]:
        """Those of all tenants that are not the usual one."""
        seconds = self._settings.tenants_seconds
        shares: list[tenants_pb2.QueueShare] = []
        request = tenants_pb2.ListQueueSharesRequest()
        while True:
            page = await _answer("tenants", self._tenants.ListQueueShares(request, timeout=seconds), seconds)
            shares += page.shares
            if not page.next_page_token:
                return shares
            request = tenants_pb2.ListQueueSharesRequest(page_token=page.next_page_token)

    async def change_queue_settings(
        self, tenant: str, queue: QueueSettings, paths: Sequence[str]
    ) -> QueueSettings:
        """Give those that the tenant then has."""
        seconds = self._settings.tenants_seconds
        request = tenants_pb2.UpdateTenantRequest(
            tenant_id=tenant, tenant=Tenant(queue=queue), update_mask=FieldMask(paths=paths)
        )
        answer = await _answer("tenants", self._tenants.UpdateTenant(request, timeout=seconds), seconds)
        return answer.tenant.queue

    async def _channel_to_source(self, name: str, target: str, seconds: float) -> grpc.aio.Channel:
        try:
            async with asyncio.timeout(seconds):
                return await self._sources.channel(current_tenant(), name, target)
        except Refused as refused:
            telemetry.EGRESS_REFUSED.labels(what="source").inc()
            raise PeerFailure(
                name, "failed", f"its target {refused}", reason="ADDRESS_REFUSED", final=True
            ) from refused
        except TimeoutError as late:
            detail = f"its address was not found within {seconds:g} s"
            raise PeerFailure(name, "timed_out", detail, reason="", final=False) from late
        except OSError as unknown:
            detail = "the name in its target is not known"
            raise PeerFailure(name, "unavailable", detail, reason="", final=False) from unknown

    def _channel(self, target: str, audience: str, file: FileDescriptor) -> grpc.aio.Channel:
        channel = self._open(target, audience, file, tls=self._settings.tls)
        self._closers.push_async_callback(channel.close)
        return channel

    def _source_channel(self, address: str, name: str, authority: str) -> grpc.aio.Channel:
        # A tenant's own server is no part of the mesh, and must not be shown our certificate.
        return self._open(address, f"source:{name}", context_pb2.DESCRIPTOR, tls=None, authority=authority)

    def _open(
        self,
        target: str,
        audience: str,
        file: FileDescriptor,
        *,
        tls: TlsFiles | None,
        authority: str | None = None,
    ) -> grpc.aio.Channel:
        return open_channel(
            target,
            audience=audience,
            services=list(file.services_by_name.values()),
            signer=self._signer,
            subject=SUBJECT,
            tls=tls,
            authority=authority,
        )


async def _answer(peer: str, call: Awaitable[T], seconds: float) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise _failure(peer, error, seconds) from error


def _failure(peer: str, error: grpc.aio.AioRpcError, seconds: float) -> PeerFailure:
    code = error.code()
    info = error_info(error)
    reason = info.reason if info is not None else ""
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return PeerFailure(
                peer, "timed_out", f"timed out after {seconds:g} s", reason=reason, final=False
            )
        case grpc.StatusCode.UNAVAILABLE:
            return PeerFailure(peer, "unavailable", "could not be reached", reason=reason, final=False)
        case _:
            detail = f"answered with an error ({reason or code.name})"
            return PeerFailure(peer, "failed", detail, reason=reason, final=code in _FINAL)
