"""How fast briefs are made when the model answers at once, and what everything but the model takes."""

import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from cli.bench.clients import Client, create_client, import_tickets, orchestrating
from cli.bench.engine import Engine, EngineResult
from cli.bench.extent import Extent
from cli.bench.k6 import run_script
from cli.bench.mesh import BenchMesh
from cli.bench.synthetic import incidents, sample_tickets
from cli.bench.usage import cpu_cores
from cli.errors import DossierError
from cli.output import Json
from dossier.context.v1 import evidence_pb2
from dossier.orchestrator.v1 import enhancement_pb2
from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    ListEnhancementsRequest,
    WatchEnhancementRequest,
)

_TENANTS: Final = 8
_SUBMITTERS: Final = 32
_LOOK_SECONDS: Final = 0.5
_LIGHT_SECONDS: Final = 30.0
_PAGE: Final = 1000
_SUCCEEDED: Final = enhancement_pb2.ENHANCEMENT_STATE_SUCCEEDED

Enhancement = enhancement_pb2.Enhancement


@dataclass(frozen=True, slots=True)
class Backlog:
    tickets: int
    ended: int
    """All of them, unless the wait for them was too long."""
    failed: int
    whole: int
    """For which every source answered."""
    seconds: float
    """From the first acceptance to the last end."""
    process_cores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PipelineResult:
    briefs_per_second: float
    engine_share: float
    """Of what the bare engine manages with as many empty checkpointed steps."""
    overhead_p50_ms: float
    """From the webhook's acceptance to the brief's delivery, one ticket at a time."""
    overhead_p95_ms: float
    noted_p50_ms: float
    """To the note's own time at the ticketing tool."""
    noted_p95_ms: float
    queued_p50_ms: float
    """Of it, waiting for a worker."""
    step_mean_ms: Mapping[str, float]
    light_tickets: int
    engine: EngineResult
    backlog: Backlog


async def measure_pipeline(mesh: BenchMesh, extent: Extent) -> PipelineResult:
    clients = await _clients(mesh)
    async with httpx.AsyncClient(base_url=mesh.desk_url, timeout=30, trust_env=False) as desk:
        light, noted = await _one_by_one(mesh, desk, clients[0], extent)
        bare = await Engine.first(mesh, count=extent.backlog)
        backlog, per_second = await all_at_once(mesh, desk, clients, extent)
        engine = await bare.again()
    overhead = [milliseconds(each, "create_time", "end_time") for each in light]
    return PipelineResult(
        briefs_per_second=round(per_second, 2),
        engine_share=round(per_second / engine.free_per_second, 3),
        overhead_p50_ms=quantile(overhead, 0.5),
        overhead_p95_ms=quantile(overhead, 0.95),
        noted_p50_ms=quantile(noted, 0.5),
        noted_p95_ms=quantile(noted, 0.95),
        queued_p50_ms=quantile([milliseconds(each, "create_time", "start_time") for each in light], 0.5),
        step_mean_ms=step_means(light),
        light_tickets=len(light),
        engine=engine,
        backlog=backlog,
    )


async def _clients(mesh: BenchMesh) -> list[Client]:
    """Clients whose briefs have something to find."""
    clients = [await create_client(mesh, f"pipeline-{number}", notes=True) for number in range(_TENANTS)]
    tickets = sample_tickets()
    await asyncio.gather(*(import_tickets(mesh, client.tenant, tickets) for client in clients))
    return clients


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)], 1)


def step_means(enhancements: Sequence[Enhancement]) -> Mapping[str, float]:
    took: defaultdict[str, list[float]] = defaultdict(list)
    for enhancement in enhancements:
        for step in enhancement.steps:
            took[step.name].append(step.duration.ToNanoseconds() / 1e6)
    return {name: round(statistics.fmean(values), 2) for name, values in took.items()}


async def _one_by_one(
    mesh: BenchMesh, desk: httpx.AsyncClient, client: Client, extent: Extent
) -> tuple[list[Enhancement], list[float]]:
    """The briefs, and when their notes came after the acceptance, in milliseconds."""
    webhook = {"url": client.webhook_url, "secret": client.webhook_secret, "events": ["ticket_created"]}
    (await desk.post("/_standin/webhook", json=webhook)).raise_for_status()
    made, noted = [], []
    end = time.monotonic() + _LIGHT_SECONDS
    for number, incident in enumerate(incidents(extent.light + 2)):
        if time.monotonic() > end:
            break
        created = await desk.post(
            "/_standin/requests", json={"subject": incident.subject, "description": incident.description}
        )
        enhancement = await _ended(mesh, client, created.raise_for_status().json()["delivery"])
        if number < 2:
            continue  # connections are opened and plans made with the first ones
        notes = await desk.get(f"/_standin/requests/{enhancement.ticket.id}/notes")
        posted = int(notes.json()["notes"][0]["created_time"]["value"])
        made.append(enhancement)
        noted.append(posted - enhancement.create_time.ToNanoseconds() / 1e6)
    return made, noted


async def _ended(mesh: BenchMesh, client: Client, delivery: dict[str, Any]) -> Enhancement:
    if delivery["status"] != 202:
        raise DossierError(
            f"A webhook was answered {delivery['status']}: {delivery['body']}", hint="It should be 202."
        )
    request = WatchEnhancementRequest(enhancement_id=json.loads(delivery["body"])["enhancement_id"])
    async with orchestrating(mesh, client.tenant) as orchestrator:
        last = Enhancement()
        async for seen in orchestrator.WatchEnhancement(request, timeout=_LIGHT_SECONDS):
            last = seen.enhancement
    if last.state != _SUCCEEDED:
        raise DossierError(
            f"A brief failed: {last.failure.message}", hint=f"At the step {last.failure.step}."
        )
    return last


async def all_at_once(
    mesh: BenchMesh, desk: httpx.AsyncClient, clients: Sequence[Client], extent: Extent
) -> tuple[Backlog, float]:
    """How the backlog went, and how many briefs a second were made of it."""
    silent = {"url": mesh.desk_url, "secret": "-", "events": []}
    (await desk.post("/_standin/webhook", json=silent)).raise_for_status()
    tickets: list[dict[str, str]] = []
    for incident in incidents(extent.backlog):
        body = {"subject": incident.subject, "description": incident.description}
        created = await desk.post("/_standin/requests", json=body)
        tickets.append({**body, "ticket_id": created.raise_for_status().json()["request"]["id"]})
    given: dict[str, Json] = {
        "targets": [client.target() for client in clients],
        "tickets": tickets,
        "callers": _SUBMITTERS,
        "seconds": extent.backlog_seconds,
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        before = await _finished(mesh, http)
    with cpu_cores(mesh.record) as cores:
        summary = await run_script("backlog", given, seconds=extent.backlog_seconds)
        submitted = summary.counts.get("accepted", 0)
        await _until_finished(mesh, before + submitted, seconds=extent.backlog_seconds)
    ids = {ticket["ticket_id"] for ticket in tickets}
    found = [each for client in clients for each in await _enhancements(mesh, client)]
    ended = [each for each in found if each.ticket.id in ids and each.HasField("end_time")]
    good = [each for each in ended if each.state == _SUCCEEDED]
    if not good:
        raise DossierError("Not one brief of the backlog was made.", hint="Try one: `dossier demo`.")
    begun = min(each.create_time.ToNanoseconds() for each in ended)
    seconds = (max(each.end_time.ToNanoseconds() for each in ended) - begun) / 1e9
    backlog = Backlog(
        tickets=submitted,
        ended=len(ended),
        failed=len(ended) - len(good),
        whole=sum(_every_source_answered(each) for each in good),
        seconds=round(seconds, 2),
        process_cores=cores,
    )
    return backlog, len(good) / seconds


def _every_source_answered(enhancement: Enhancement) -> bool:
    states = {report.state for report in enhancement.sources}
    return states == {evidence_pb2.SOURCE_STATE_ANSWERED}


async def _until_finished(mesh: BenchMesh, runs: int, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    # One client: to make another for each look would take a tenth of a core.
    async with httpx.AsyncClient(trust_env=False) as http:
        while await _finished(mesh, http) < runs and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)


async def _enhancements(mesh: BenchMesh, client: Client) -> list[Enhancement]:
    async with orchestrating(mesh, client.tenant) as orchestrator:
        page = await orchestrator.ListEnhancements(ListEnhancementsRequest(page_size=_PAGE))
        return list(page.enhancements)


async def _finished(mesh: BenchMesh, http: httpx.AsyncClient) -> int:
    """Runs that have ended, as the orchestrator counts them: asking this costs it next to nothing."""
    address = f"http://127.0.0.1:{mesh.record.ports.metrics('orchestrator')}/metrics"
    lines = (await http.get(address)).raise_for_status().text.splitlines()
    counts = [line for line in lines if line.startswith("dossier_orchestrator_finished_total{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in counts))


def milliseconds(enhancement: Enhancement, since: str, until: str) -> float:
    nanoseconds: int = (
        getattr(enhancement, until).ToNanoseconds() - getattr(enhancement, since).ToNanoseconds()
    )
    return nanoseconds / 1e6
