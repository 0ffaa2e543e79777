"""How many webhooks are accepted, for good, in a second."""

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import asyncpg
import orjson

from cli.bench.baseline import Inserts, insert_baseline
from cli.bench.clients import Client, create_client
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh, clean_environment
from cli.bench.pause import processing_paused
from cli.bench.pipeline import quantile
from cli.bench.synthetic import incidents
from cli.bench.usage import cpu_cores
from cli.bench.webhook_load import Summary, Told
from cli.errors import DossierError
from cli.program import Program

_TENANTS: Final = 4
_TEXTS: Final = 50
_PROMPT_MS: Final = 100.0
"""A level whose p99 is over it is not the one to be proud of."""
_START_AND_END_SECONDS: Final = 45.0


@dataclass(frozen=True, slots=True)
class Level:
    callers: int
    accepted_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int
    """Answered otherwise than with 202, or not at all."""
    answered: int
    """With 202, and each with the id of another enhancement that is in the database; warm-up included."""
    committed: int
    """Tickets of this load in the database: at least as many."""
    load_cores: float
    """Of the machine's, so not there for what is measured."""
    process_cores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """Acceptance alone, processing paused: the best level, and all. Then while briefs are made."""

    accepted_per_second: float
    p50_ms: float
    p99_ms: float
    callers: int
    insert_ratio: float
    """Accepted per single INSERT of the bare baseline with 32 writers, a commit each."""
    baseline: Inserts
    levels: tuple[Level, ...]
    while_processing: Level
    """As many callers as the best level, while the briefs of what has been accepted are made."""


async def measure_webhook(mesh: BenchMesh, extent: Extent, *, baseline: Inserts | None) -> WebhookResult:
    baseline = baseline or await insert_baseline(mesh, seconds=extent.seconds / 2)
    clients = [await create_client(mesh, f"webhook-{number}", notes=False) for number in range(_TENANTS)]
    async with processing_paused(mesh):
        levels = tuple(
            [await measure_level(mesh, extent, clients, callers=each) for each in extent.webhook_callers]
        )
    best = best_of(levels)
    return WebhookResult(
        accepted_per_second=best.accepted_per_second,
        p50_ms=best.p50_ms,
        p99_ms=best.p99_ms,
        callers=best.callers,
        insert_ratio=round(best.accepted_per_second / baseline.concurrent_per_second, 3),
        baseline=baseline,
        levels=levels,
        while_processing=await measure_level(mesh, extent, clients, callers=best.callers),
    )


def best_of(levels: Sequence[Level]) -> Level:
    """The one that accepted the most of those that were prompt, else of all."""
    return max(levels, key=lambda level: (level.p99_ms < _PROMPT_MS, level.accepted_per_second))


async def measure_level(mesh: BenchMesh, extent: Extent, clients: Sequence[Client], *, callers: int) -> Level:
    told: Told = {
        "run": uuid.uuid4().hex[:8],
        "callers": callers,
        "seconds": extent.seconds,
        "warmup_seconds": extent.warmup_seconds,
        "targets": [{"url": client.webhook_url, "secret": client.webhook_secret} for client in clients],
        "tickets": [
            {
                "subject": each.subject,
                "description": each.description,
                "requester": "Bench",
                "priority": "High",
            }
            for each in incidents(_TEXTS)
        ],
    }
    with cpu_cores(mesh.record) as cores:
        summary = await _sent(told)
    accepted = summary["answers"].get("202", 0)
    refused = sum(summary["answers"].values()) - accepted + summary["lost"]
    if not accepted:
        raise DossierError(
            f"No webhook was accepted; {refused} were refused.", hint="Try one by hand on `dossier up`."
        )
    committed = await committed_tickets(mesh.database_url, told["run"], summary["ids"])
    latencies = summary["latencies_ms"]
    return Level(
        callers=callers,
        accepted_per_second=round(accepted / summary["seconds"], 1),
        p50_ms=quantile(latencies, 0.5),
        p95_ms=quantile(latencies, 0.95),
        p99_ms=quantile(latencies, 0.99),
        refused=refused,
        answered=len(summary["ids"]),
        committed=committed,
        load_cores=round(summary["cpu_seconds"] / summary["seconds"], 2),
        process_cores=cores,
    )


async def _sent(told: Told) -> Summary:
    argv = (sys.executable, "-P", "-m", "cli.bench.webhook_load")
    program = Program("webhook_load", argv, clean_environment(os.environ))
    process = await asyncio.create_subprocess_exec(
        *program.launch_argv(), env=dict(program.environment), stdin=PIPE, stdout=PIPE, cwd="/"
    )
    longest = told["warmup_seconds"] + told["seconds"] + _START_AND_END_SECONDS
    try:
        async with asyncio.timeout(longest):
            said, _ = await process.communicate(orjson.dumps(told))
    except TimeoutError as late:
        process.kill()
        raise DossierError(
            f"The load did not end within {longest:.0f} s.", hint="The machine is too busy to measure on."
        ) from late
    finally:
        await process.wait()
    if process.returncode:
        raise DossierError(f"The load ended with {process.returncode}.", hint="What it wrote above says why.")
    return cast("Summary", orjson.loads(said))


async def committed_tickets(database_url: str, run: str, ids: Sequence[str]) -> int:
    """Hold the answers against the database: every id is there, and no ticket is missing."""
    connection = await asyncpg.connect(database_url)
    try:
        committed, known = await connection.fetchval(
            "select (count(*), count(*) filter (where id = any($2)))"
            " from orchestrator.enhancements where starts_with(ticket_id, $1)",
            f"{run}-",
            list(ids),
        )
    finally:
        await connection.close()
    if known < len(ids):
        raise DossierError(
            f"{len(ids)} webhooks were answered with 202, but only {known} of their tickets are kept.",
            hint="This is a bug: 202 means kept. Do not trust the other numbers either.",
        )
    return int(committed)
