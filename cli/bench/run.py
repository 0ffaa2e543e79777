"""One `dossier bench` from start to end, on an instance of its own."""

import asyncio
import dataclasses
from collections.abc import Awaitable
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from cli.bench import machine
from cli.bench.baseline import SEARCH_CALLERS, BaselineResult, measure_baseline
from cli.bench.corpus import Built, build_corpus
from cli.bench.extent import Extent
from cli.bench.fairness import FairnessResult, measure_fairness
from cli.bench.guards import GuardsResult, measure_guards
from cli.bench.k6 import k6_program
from cli.bench.mesh import BenchMesh, new_home, running_mesh
from cli.bench.pipeline import PipelineResult, measure_pipeline
from cli.bench.search import SearchResult, measure_search
from cli.bench.webhook import WebhookResult, measure_webhook
from cli.embedded.embedder import EMBEDDING_VARIABLE
from cli.errors import DossierError
from cli.output import Json, Output

_LONGEST_SECONDS: Final = 600.0

Result = BaselineResult | SearchResult | PipelineResult | FairnessResult | WebhookResult | GuardsResult
R = TypeVar("R", bound=Result)


class What(StrEnum):
    WEBHOOK = "webhook"
    PIPELINE = "pipeline"
    FAIRNESS = "fairness"
    SEARCH = "search"
    BASELINE = "baseline"
    GUARDS = "guards"
    ALL = "all"


# What one leaves would slow the next: a search's tickets are vacuumed for a while, webhooks fill the queue.
_ON_ONE_MESH: Final = (What.BASELINE, What.PIPELINE, What.FAIRNESS, What.SEARCH, What.WEBHOOK)


def bench(
    what: What, extent: Extent, *, quick: bool, folder: Path | None, output: Output
) -> dict[str, dict[str, Json]]:
    """Measure, and return the record: the results by name, and what they were taken on."""
    k6_program()  # better missed before everything is started
    with new_home(folder) as home:
        return _record(what, extent, home=home, built=None, quick=quick, folder=folder, output=output)


def bench_large(
    extent: Extent, *, quick: bool, corpus: Path | None, folder: Path | None, output: Output
) -> dict[str, dict[str, Json]]:
    """Measure searches among the tickets kept in `corpus`, after adding what is missing there."""
    k6_program()
    with new_home(folder) if corpus is None else nullcontext(corpus) as home:
        home.mkdir(parents=True, exist_ok=True)
        with running_mesh(home, output=output, beside={EMBEDDING_VARIABLE: "none"}) as mesh:
            built = asyncio.run(build_corpus(mesh, extent.tenant_tickets, output=output))
        what = What.SEARCH
        return _record(what, extent, home=home, built=built, quick=quick, folder=folder, output=output)


def _record(
    what: What,
    extent: Extent,
    *,
    home: Path,
    built: Built | None,
    quick: bool,
    folder: Path | None,
    output: Output,
) -> dict[str, dict[str, Json]]:
    taken, load = datetime.now(UTC), machine.load_average()
    with running_mesh(home, output=output) as mesh:
        results = asyncio.run(_measure(what, mesh, extent, built=built, output=output))
        here = machine.this_machine(
            postgres=asyncio.run(_postgres_version(mesh)), home=mesh.instance.home, load_before=load
        )
    if what in {What.GUARDS, What.ALL}:
        # They have two meshes, and a third would share the machine with them.
        results[What.GUARDS.value] = asyncio.run(
            _within(What.GUARDS, measure_guards(extent, folder=folder, output=output), output)
        )
    about: dict[str, Json] = {
        "time": taken.isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": dataclasses.asdict(here),
        "settings": {**dataclasses.asdict(extent), "quick": quick},
    }
    return {"about": about, **{name: dataclasses.asdict(result) for name, result in results.items()}}


async def _measure(
    what: What, mesh: BenchMesh, extent: Extent, *, built: Built | None, output: Output
) -> dict[str, Result]:
    measured: dict[str, Result] = {}
    baseline: BaselineResult | None = None
    for each in _ON_ONE_MESH:
        if what not in {each, What.ALL}:
            continue
        match each:
            case What.BASELINE:
                baseline = await _within(each, measure_baseline(mesh, extent), output)
                measured[each.value] = baseline
            case What.SEARCH:
                empty = baseline.empty_call_of(SEARCH_CALLERS) if baseline else None
                searches = measure_search(mesh, extent, empty=empty, built=built, output=output)
                measured[each.value] = await _within(each, searches, output)
            case What.PIPELINE:
                measured[each.value] = await _within(each, measure_pipeline(mesh, extent), output)
            case What.FAIRNESS:
                measured[each.value] = await _within(each, measure_fairness(mesh, extent), output)
            case What.WEBHOOK:
                inserts = baseline.insert if baseline else None
                webhooks = measure_webhook(mesh, extent, baseline=inserts)
                measured[each.value] = await _within(each, webhooks, output)
            case _:
                raise AssertionError(each)
    return measured


async def _within(what: What, measuring: Awaitable[R], output: Output) -> R:
    output.progress.print(f"measuring: {what.value}")
    limit = asyncio.timeout(_LONGEST_SECONDS)
    try:
        async with limit:
            return await measuring
    except TimeoutError as late:
        if not limit.expired():
            raise
        raise DossierError(
            f"{what.value} was not measured within {_LONGEST_SECONDS:.0f} s.",
            hint="The machine is too busy to measure on; --quick measures less.",
        ) from late


async def _postgres_version(mesh: BenchMesh) -> str:
    connection = await asyncpg.connect(mesh.database_url)
    try:
        version: str = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    return f"{version.partition(' ')[0]}, {mesh.record.database}"
