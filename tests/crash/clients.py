"""Tenants with a ticketing tool each, and their tools' webhooks, sent until they are taken."""

import asyncio
import hmac
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import httpx

from cli.commands.tenant import create_tenant
from cli.instance import Instance
from cli.rpc import calling
from cli.standins.servicedesk_plus import NewRequest, ServiceDesk
from dossier.history.v1 import history_service_pb2 as history
from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.tenants.v1.tenant_pb2 import Tenant, TicketingConnection

_HISTORY: Final = history.DESCRIPTOR.services_by_name["HistoryService"]
_TAKEN: Final = frozenset({200, 202})
_PAUSE_SECONDS: Final = 0.3
_PATIENCE_SECONDS: Final = 90.0
_PAST: Final = (
    ("VPN tunnel drops every hour", "Raised the rekey interval on fw-01."),
    ("Label printer prints empty labels", "Calibrated the sensor for the new rolls."),
    ("Outlook keeps asking for a password", "Removed the stale credential from the vault."),
)


@dataclass(slots=True)
class Client:
    tenant: str
    desk: ServiceDesk
    webhook_url: str
    secret: str = field(repr=False)


@dataclass(slots=True)
class Ticket:
    """A webhook's content, and what became of it."""

    client: Client
    id: str
    case: str
    """A word that nothing else contains: by it the language model's calls are told apart."""
    is_hint: bool
    """The webhook only says that there is a ticket, so that it has to be read at the tool."""
    delivery_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    statuses: list[int] = field(default_factory=list)
    """What the sender got, 0 for nothing."""
    enhancement_ids: set[str] = field(default_factory=set)

    @property
    def taken(self) -> bool:
        return not _TAKEN.isdisjoint(self.statuses)

    @property
    def notes(self) -> list[str]:
        """What stands on it at the ticketing tool."""
        return [note.description for note in self.client.desk.requests[self.id].notes]

    def body(self) -> bytes:
        request = self.client.desk.requests[self.id]
        told = {"event": "ticket_created", "delivery_id": self.delivery_id, "ticket_id": self.id}
        if not self.is_hint:
            told |= {"subject": request.subject, "description": request.description}
        return json.dumps(told).encode()


def desk_with(count: int, *, case: str) -> ServiceDesk:
    """Open a tool with requests 1 to `count`, each like one of the past and with a word of its own."""
    requests = []
    for number in range(1, count + 1):
        title, _ = _PAST[number % len(_PAST)]
        subject = f"{title} {case}-{number}"
        requests.append(NewRequest(id=str(number), subject=subject, description=f"<p>{title} again.</p>"))
    return ServiceDesk(requests)


async def created(instance: Instance, tenant: str, desk: ServiceDesk, *, desk_url: str) -> Client:
    """Make the client, with a history to be found."""
    tool = "servicedesk_plus"
    wanted = Tenant(
        id=tenant, display_name=tenant, ticketing=TicketingConnection(tool=tool, base_url=desk_url)
    )
    made = await create_tenant(instance, wanted, credentials={"authtoken": desk.authtoken})
    past = [
        PastTicket(id=f"past-{number}", title=title, description=title, resolution=cure, status="Closed")
        for number, (title, cure) in enumerate(_PAST)
    ]
    async with calling(instance, "history", descriptors=[_HISTORY], tenant=tenant) as channel:
        batch = history.ImportTicketsRequest(source=tool, tickets=past)
        await HistoryServiceStub(channel).ImportTickets(iter([batch]), timeout=30)
    port = instance.require_running().gateway_port
    return Client(tenant, desk, f"http://127.0.0.1:{port}/webhooks/{tenant}/{tool}", made.webhook_secret)


async def send(http: httpx.AsyncClient, ticket: Ticket, *, after_seconds: float = 0) -> None:
    """Send its webhook, and again for as long as it is not taken, as senders do."""
    await asyncio.sleep(after_seconds)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await deliver(http, ticket):  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(_PAUSE_SECONDS)


async def deliver(http: httpx.AsyncClient, ticket: Ticket) -> bool:
    """Send its webhook once; True when it is taken."""
    body = ticket.body()
    signature = hmac.new(ticket.client.secret.encode(), body, sha256).hexdigest()
    headers = {"content-type": "application/json", "x-servicedesk-signature": f"sha256={signature}"}
    try:
        answer = await http.post(ticket.client.webhook_url, content=body, headers=headers)
    except httpx.TransportError:
        ticket.statuses.append(0)
        return False
    ticket.statuses.append(answer.status_code)
    if answer.status_code not in _TAKEN:
        return False
    ticket.enhancement_ids.add(answer.json()["enhancement_id"])
    return True


async def send_all(tickets: Sequence[Ticket], moments: Sequence[float]) -> None:
    async with (
        httpx.AsyncClient(timeout=10, trust_env=False) as http,
        asyncio.TaskGroup() as sending,
    ):
        for ticket, moment in zip(tickets, moments, strict=True):
            sending.create_task(send(http, ticket, after_seconds=moment))
