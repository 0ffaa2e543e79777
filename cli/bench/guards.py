"""What authentication, lookup of tenants and row-level security cost: the same loads without, in turns."""

import dataclasses
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from cli.bench.clients import create_client
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh, new_home, running_mesh
from cli.bench.pause import processing_paused
from cli.bench.pipeline import all_at_once, pipeline_clients
from cli.bench.search import search_calls, searched_client
from cli.bench.webhook import measure_level
from cli.errors import DossierError
from cli.migrate.urls import with_user
from cli.output import Output

_CALLERS: Final = 64
_TICKETS: Final = 1_000
_FEWEST_BRIEFS: Final = 60
_WEBHOOK_TENANTS: Final = 4
_REFUSED: Final = 401
_UNGUARDED: Final = Path(__file__).with_name("unguarded")
_OPEN: Final = """
do $$
declare
    guarded regclass;
begin
    for guarded in select oid from pg_class where relrowsecurity loop
        execute format('alter table %s disable row level security', guarded);
    end loop;
end $$
"""

Measure = Callable[[], Awaitable[float]]
Load = Callable[[BenchMesh, Extent], AbstractAsyncContextManager[Measure]]


@dataclass(frozen=True, slots=True)
class Cost:
    guarded_per_second: float
    unguarded_per_second: float
    added: float
    """Time that the guards add to what one takes without them: 0.1 is a tenth more."""


@dataclass(frozen=True, slots=True)
class GuardsResult:
    webhook: Cost
    """Webhooks accepted, processing paused."""
    pipeline: Cost
    """Briefs of a backlog."""
    search: Cost
    """Searches among 1,000 tickets by four callers."""
    added_at_most: float
    turns: int


async def measure_guards(extent: Extent, *, folder: Path | None, output: Output) -> GuardsResult:
    """Two meshes of its own, one of them without guards: neither has what the other benches left."""
    with (
        new_home(folder) as home,
        new_home(folder) as other,
        running_mesh(home, output=output) as guarded,
        running_mesh(other, output=output, beside={"PYTHONPATH": str(_UNGUARDED)}) as bare,
    ):
        await _disable_row_level_security(bare)
        search = await _compared(_searches, guarded, bare, extent)
        pipeline = await _compared(_briefs, guarded, bare, extent)
        webhook = await _compared(_webhooks, guarded, bare, extent)
        await _confirm(guarded, open_to_all=False)
        await _confirm(bare, open_to_all=True)
    return GuardsResult(
        webhook=webhook,
        pipeline=pipeline,
        search=search,
        added_at_most=max(each.added for each in (webhook, pipeline, search)),
        turns=extent.turns,
    )


async def _compared(load: Load, guarded: BenchMesh, bare: BenchMesh, extent: Extent) -> Cost:
    """In turns, and each first as often as the other: the machine gets faster and slower meanwhile."""
    rates: dict[str, list[float]] = {"guarded": [], "bare": []}
    async with load(guarded, extent) as on_guarded, load(bare, extent) as on_bare:
        turn = [("guarded", on_guarded), ("bare", on_bare)]
        for _ in range(extent.turns):
            for name, measure in turn:
                rates[name].append(await measure())
            turn.reverse()
    with_guards, without = statistics.fmean(rates["guarded"]), statistics.fmean(rates["bare"])
    return Cost(round(with_guards, 1), round(without, 1), round(without / with_guards - 1, 3))


@asynccontextmanager
async def _searches(mesh: BenchMesh, extent: Extent) -> AsyncIterator[Measure]:
    await searched_client(mesh, _TICKETS)

    async def measure() -> float:
        return (await search_calls(mesh, extent, size=_TICKETS)).per_second

    yield measure


@asynccontextmanager
async def _briefs(mesh: BenchMesh, extent: Extent) -> AsyncIterator[Measure]:
    clients = await pipeline_clients(mesh)
    some = dataclasses.replace(extent, backlog=max(_FEWEST_BRIEFS, extent.backlog // 3))

    async with httpx.AsyncClient(base_url=mesh.desk_url, timeout=30, trust_env=False) as desk:

        async def measure() -> float:
            _, per_second = await all_at_once(mesh, desk, clients, some)
            return per_second

        yield measure


@asynccontextmanager
async def _webhooks(mesh: BenchMesh, extent: Extent) -> AsyncIterator[Measure]:
    clients = [await create_client(mesh, f"webhook-{each}", notes=False) for each in range(_WEBHOOK_TENANTS)]

    async def measure() -> float:
        return (await measure_level(mesh, extent, clients, callers=_CALLERS)).accepted_per_second

    async with processing_paused(mesh):
        yield measure


async def _disable_row_level_security(mesh: BenchMesh) -> None:
    connection = await asyncpg.connect(mesh.database_url)
    try:
        await connection.execute(_OPEN)
    finally:
        await connection.close()


async def _confirm(mesh: BenchMesh, *, open_to_all: bool) -> None:
    """Two guarded meshes would compare well. A wrong signature tells, and a role that names no tenant."""
    client = await create_client(mesh, "unsigned", notes=False)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        headers = {"x-servicedesk-signature": f"sha256={'0' * 64}"}
        answer = await http.post(client.webhook_url, content=b"no ticket", headers=headers)
    connection = await asyncpg.connect(with_user(mesh.database_url, "dossier_history"))
    try:
        rows = await connection.fetchval("select count(*) from history.tickets")
    finally:
        await connection.close()
    if (answer.status_code != _REFUSED, rows > 0) != (open_to_all, open_to_all):
        raise DossierError(
            f"A mesh was to be measured {'without' if open_to_all else 'with'} guards; a wrong signature was"
            f" answered {answer.status_code}, and {rows} rows were seen.",
            hint="This is a bug of the bench: do not trust its comparison.",
        )
