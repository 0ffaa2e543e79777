"""How many webhooks are accepted, for good, in a second."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from cli.bench.baseline import Inserts, insert_baseline
from cli.bench.clients import create_client
from cli.bench.extent import Extent
from cli.bench.k6 import run_script
from cli.bench.mesh import BenchMesh
from cli.bench.synthetic import incidents
from cli.bench.usage import cpu_cores
from cli.errors import DossierError
from cli.output import Json

_TENANTS = 4
_TEXTS = 50


@dataclass(frozen=True, slots=True)
class Level:
    callers: int
    accepted_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int
    k6_cores: float
    """Of the machine's, so not there for what is measured."""
    process_cores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """The level that accepted the most, and all. What is accepted is worked on meanwhile, as in life."""

    accepted_per_second: float
    p50_ms: float
    p99_ms: float
    callers: int
    insert_ratio: float
    """Accepted per single INSERT of the bare baseline with 32 writers, a commit each."""
    baseline: Inserts
    levels: tuple[Level, ...]


async def measure_webhook(mesh: BenchMesh, extent: Extent, *, baseline: Inserts | None) -> WebhookResult:
    baseline = baseline or await insert_baseline(mesh, seconds=extent.seconds / 2)
    clients = [await create_client(mesh, f"webhook-{number}", notes=False) for number in range(_TENANTS)]
    targets: list[Json] = [client.target() for client in clients]
    levels = tuple([await _level(mesh, extent, targets, callers=each) for each in extent.webhook_callers])
    best = max(levels, key=lambda level: level.accepted_per_second)
    return WebhookResult(
        accepted_per_second=best.accepted_per_second,
        p50_ms=best.p50_ms,
        p99_ms=best.p99_ms,
        callers=best.callers,
        insert_ratio=round(best.accepted_per_second / baseline.concurrent_per_second, 3),
        baseline=baseline,
        levels=levels,
    )


async def _level(mesh: BenchMesh, extent: Extent, targets: list[Json], *, callers: int) -> Level:
    given: dict[str, Json] = {
        "run": uuid.uuid4().hex[:8],
        "callers": callers,
        "seconds": extent.seconds,
        "warmup_seconds": extent.warmup_seconds,
        "targets": targets,
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
        summary = await run_script("webhook", given, seconds=extent.warmup_seconds + extent.seconds)
    accepted, refused = summary.counts.get("accepted", 0), summary.counts.get("refused", 0)
    if not accepted or summary.latency is None:
        raise DossierError(
            f"No webhook was accepted; {refused} were refused.", hint="Try one by hand on `dossier up`."
        )
    return Level(
        callers=callers,
        accepted_per_second=round(accepted / extent.seconds, 1),
        p50_ms=round(summary.latency.p50, 2),
        p95_ms=round(summary.latency.p95, 2),
        p99_ms=round(summary.latency.p99, 2),
        refused=refused,
        k6_cores=round(summary.cpu_cores, 2),
        process_cores=cores,
    )
