"""The clients of the measured instance, made through its real API."""

import itertools
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from cli.bench.mesh import DESK_KEY, BenchMesh
from cli.output import Json
from cli.rpc import calling
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.tenants.v1 import tenant_pb2, tenant_service_pb2
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub

HISTORY: Final = history.DESCRIPTOR.services_by_name["HistoryService"]
_TENANTS: Final = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
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
        tenant=wanted, ticketing_credentials={"authtoken": DESK_KEY}, request_id=str(uuid.uuid4())
    )
    async with calling(mesh.instance, "tenants", descriptors=[_TENANTS], tenant=None) as channel:
        made = await TenantServiceStub(channel).CreateTenant(request)
    return Client(tenant, mesh.webhook_url(tenant), made.webhook_secret)


async def import_tickets(mesh: BenchMesh, tenant: str, tickets: Iterable[PastTicket]) -> None:
    async with calling(mesh.instance, "history", descriptors=[HISTORY], tenant=tenant) as channel:
        await HistoryServiceStub(channel).ImportTickets(_batches(tickets), timeout=_IMPORT_SECONDS)


async def _batches(tickets: Iterable[PastTicket]) -> AsyncIterator[history.ImportTicketsRequest]:
    remaining = iter(tickets)
    while batch := list(itertools.islice(remaining, _BATCH)):
        yield history.ImportTicketsRequest(source="bench", tickets=batch)
