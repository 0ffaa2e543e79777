"""Whether a client with much to do slows another: a trickle of tickets, alone and beside a flood."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from cli.bench.clients import Client, create_client, import_tickets, orchestrating, submit
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh
from cli.bench.pipeline import milliseconds, quantile
from cli.bench.synthetic import Incident, incidents, sample_tickets
from cli.errors import DossierError
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    GetEnhancementRequest,
    GetQueueRequest,
    PauseQueueRequest,
    Submission,
)

_EVERY_SECONDS: Final = 0.3
_TICKETS: Final = 1500
"""At the desk: more than any load briefs, since a ticket that has not changed is not briefed again."""
_BATCH: Final = 500
_LOOK_SECONDS: Final = 0.2
_WARM_UP: Final = 3
_LONGEST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class FairnessResult:
    """From acceptance to delivery, of the client with the trickle."""

    quiet_p50_ms: float
    quiet_p95_ms: float
    flooded_p50_ms: float
    flooded_p95_ms: float
    ratio: float
    """Of the two p95."""
    trickle_tickets: int
    """In each of the two."""
    flood_queued: int
    """What the other client had queued when the flood began."""
    flood_left: int
    """What it still had when the trickle ended: it was a flood throughout."""
    flood_briefs_per_second: float


async def measure_fairness(mesh: BenchMesh, extent: Extent) -> FairnessResult:
    trickle, flood = [
        await create_client(mesh, f"fairness-{name}", notes=True) for name in ("trickle", "flood")
    ]
    tickets = sample_tickets()
    await asyncio.gather(*(import_tickets(mesh, client.tenant, tickets) for client in (trickle, flood)))
    async with httpx.AsyncClient(base_url=mesh.desk_url, timeout=30, trust_env=False) as desk:
        known = [await _at_the_desk(desk, incident) for incident in incidents(_TICKETS)]
    reported = iter(known)
    await _trickle(mesh, trickle, itertools.islice(reported, _WARM_UP))
    quiet = await _trickle(mesh, trickle, itertools.islice(reported, extent.trickle))
    async with _flooded(mesh, flood, known, count=extent.flood):
        before = await _waiting(mesh, flood)
        began = asyncio.get_running_loop().time()
        flooded = await _trickle(mesh, trickle, itertools.islice(reported, extent.trickle))
        seconds = asyncio.get_running_loop().time() - began
        left = await _waiting(mesh, flood)
    if not left:
        raise DossierError("The flood was over before the trickle.", hint="A larger --seconds measures less.")
    quiet_p95, flooded_p95 = quantile(quiet, 0.95), quantile(flooded, 0.95)
    return FairnessResult(
        quiet_p50_ms=quantile(quiet, 0.5),
        quiet_p95_ms=quiet_p95,
        flooded_p50_ms=quantile(flooded, 0.5),
        flooded_p95_ms=flooded_p95,
        ratio=round(flooded_p95 / quiet_p95, 2),
        trickle_tickets=extent.trickle,
        flood_queued=extent.flood,
        flood_left=left,
        flood_briefs_per_second=round((before - left) / seconds, 1),
    )


async def _at_the_desk(desk: httpx.AsyncClient, incident: Incident) -> Ticket:
    body = {"subject": incident.subject, "description": incident.description}
    created = await desk.post("/_standin/requests", json=body)
    identifier = created.raise_for_status().json()["request"]["id"]
    return Ticket(
        id=identifier,
        tool="servicedesk_plus",
        subject=incident.subject,
        description=incident.description,
    )


def _submission(client: Client, ticket: Ticket) -> Submission:
    return Submission(tenant_id=client.tenant, revision=uuid.uuid4().hex, ticket=ticket)


async def _trickle(mesh: BenchMesh, client: Client, tickets: Iterable[Ticket]) -> list[float]:
    """How long each took, in milliseconds; one after the other, at a steady pace."""
    ids = []
    for ticket in tickets:
        ids += await submit(mesh, [_submission(client, ticket)])
        await asyncio.sleep(_EVERY_SECONDS)
    ended = [await _ended(mesh, client, each) for each in ids]
    return [milliseconds(each, "create_time", "end_time") for each in ended]


async def _ended(mesh: BenchMesh, client: Client, enhancement_id: str) -> Enhancement:
    async with asyncio.timeout(_LONGEST_SECONDS), orchestrating(mesh, client.tenant) as orchestrator:
        while True:
            request = GetEnhancementRequest(enhancement_id=enhancement_id)
            enhancement = (await orchestrator.GetEnhancement(request)).enhancement
            if enhancement.state == ENHANCEMENT_STATE_SUCCEEDED:
                return enhancement
            if enhancement.HasField("failure"):
                raise DossierError(
                    f"A brief failed: {enhancement.failure.message}", hint="See the orchestrator's log."
                )
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def _flooded(
    mesh: BenchMesh, client: Client, known: Sequence[Ticket], *, count: int
) -> AsyncIterator[None]:
    """Have so many queued; what is left at the end stays there, paused."""
    offers = [_submission(client, known[number % len(known)]) for number in range(count)]
    for start in range(0, count, _BATCH):
        await submit(mesh, offers[start : start + _BATCH])
    try:
        yield
    finally:
        async with orchestrating(mesh, client.tenant) as orchestrator:
            await orchestrator.PauseQueue(PauseQueueRequest())


async def _waiting(mesh: BenchMesh, client: Client) -> int:
    async with orchestrating(mesh, client.tenant) as orchestrator:
        return int((await orchestrator.GetQueue(GetQueueRequest())).queue.waiting)
