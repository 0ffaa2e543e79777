"""The clients of the measured instance, made through its real API."""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cli.bench.mesh import DESK_KEY, BenchMesh
from cli.output import Json
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from dossier.tenants.v1 import tenant_pb2, tenant_service_pb2
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.tokens import TokenSigner

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

ORCHESTRATOR: Final = orchestrator.DESCRIPTOR.services_by_name["OrchestratorService"]
HISTORY: Final = history.DESCRIPTOR.services_by_name["HistoryService"]
_TENANTS: Final = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
SOURCE: Final = "bench"
_BATCH: Final = 500
_IMPORT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Client:
    tenant: str
    webhook_url: str
    webhook_secret: str

    def target(self) -> dict[str, Json]:
        """As the load scripts want it."""
        return {"url": self.webhook_url, "secret": self.webhook_secret}


async def create_client(mesh: BenchMesh, tenant: str, *, notes: bool) -> Client:
    """`notes` says whether its ticketing tool has an address, so that tickets are reread and notes posted."""
    wanted = tenant_pb2.Tenant(
        id=tenant,
        display_name=tenant,
        ticketing=tenant_pb2.TicketingConnection(
            tool="servicedesk_plus", base_url=mesh.desk_url if notes else ""
        ),
    )
    request = tenant_service_pb2.CreateTenantRequest(
        skip_connection_test=True,
        tenant=wanted,
        ticketing_credentials={"authtoken": DESK_KEY},
        request_id=str(uuid.uuid4()),
    )
    async with calling(mesh.instance, "tenants", descriptors=[_TENANTS], tenant=None) as channel:
        made = await TenantServiceStub(channel).CreateTenant(request)
    return Client(tenant, mesh.webhook_url(tenant), made.webhook_secret)


@asynccontextmanager
async def orchestrating(mesh: BenchMesh, tenant: str | None) -> "AsyncIterator[OrchestratorServiceAsyncStub]":
    """Speak to the orchestrator as an operator, for one client or, with None, for all of them."""
    async with calling(mesh.instance, "orchestrator", descriptors=[ORCHESTRATOR], tenant=tenant) as channel:
        yield OrchestratorServiceStub(channel)


async def submit(mesh: BenchMesh, submissions: Sequence[orchestrator.Submission]) -> list[str]:
    """Hand tickets over as the gateway does; the enhancements' ids."""
    record = mesh.instance.require_running()
    async with open_channel(
        f"localhost:{record.ports.serving('orchestrator')}",
        audience="orchestrator",
        services=[ORCHESTRATOR],
        signer=TokenSigner(mesh.instance.signing_key),
        subject="gateway",
        tls=None,
    ) as channel:
        with acting_for(None, subject="gateway"):
            request = orchestrator.SubmitEnhancementsRequest(submissions=submissions)
            response = await OrchestratorServiceStub(channel).SubmitEnhancements(request)
    return [each.enhancement_id for each in response.results]


async def import_tickets(mesh: BenchMesh, tenant: str, tickets: Iterable[PastTicket]) -> None:
    async with calling(mesh.instance, "history", descriptors=[HISTORY], tenant=tenant) as channel:
        await HistoryServiceStub(channel).ImportTickets(_batches(tickets), timeout=_IMPORT_SECONDS)


async def _batches(tickets: Iterable[PastTicket]) -> AsyncIterator[history.ImportTicketsRequest]:
    remaining = iter(tickets)
    while batch := list(itertools.islice(remaining, _BATCH)):
        yield history.ImportTicketsRequest(source=SOURCE, tickets=batch)
