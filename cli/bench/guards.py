"""What authentication, lookup of tenants and row-level security cost: the same loads without, in turns."""

import asyncio
import dataclasses
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from cli.bench.clients import Client, create_client
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh, new_home, running_mesh
from cli.bench.pause import processing_paused
from cli.bench.pipeline import all_at_once
from cli.bench.search import learn_statistics, search_calls, searched_client
from cli.bench.webhook import measure_level
from cli.errors import DossierError
from cli.migrate.urls import with_user
from cli.output import Output

_CALLERS: Final = 64
_TICKETS: Final = 1_000
_FEWEST_BRIEFS: Final = 60
_EMBEDDED_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.2
_NOT_EMBEDDED: Final = "select exists (select from history.embedding_backlog)"
_REFUSED: Final = 401
_NO_COMPARISON: Final = "This is a bug of the bench: do not trust its comparison."
_ALONE: Final = {
    # One client may have what the eight of the other benches have together,
    "DOSSIER_ORCHESTRATOR_TENANT_CONCURRENCY": "32",
    # and no brief is ready sooner because the machine is busy with something else.
    "DOSSIER_ORCHESTRATOR_HISTORY_SECONDS": "30",
    "DOSSIER_ORCHESTRATOR_KNOWLEDGE_SECONDS": "30",
    "DOSSIER_ORCHESTRATOR_NETWORK_SECONDS": "30",
}
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
Load = Callable[[BenchMesh, Client, Extent], AbstractAsyncContextManager[Measure]]


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
    """Searches among the same client's 1,000 tickets by four callers."""
    added_at_most: float
    turns: int


async def measure_guards(extent: Extent, *, folder: Path | None, output: Output) -> GuardsResult:
    """Two meshes of its own, one of them without guards: neither has what the other benches left.

    Each has one client, who is behind all loads: without row-level security the statements that leave the
    tenant to its policies see everybody's rows, and have to find the same as with it.
    """
    bare_of_identity = _ALONE | {"PYTHONPATH": str(_UNGUARDED)}
    with (
        new_home(folder) as home,
        new_home(folder) as other,
        running_mesh(home, output=output, beside=_ALONE) as guarded,
        running_mesh(other, output=output, beside=bare_of_identity) as bare,
    ):
        await _disable_row_level_security(bare)
        meshes = [(mesh, await _embedded_client(mesh)) for mesh in (guarded, bare)]
        search = await _compared(_searches, meshes, extent)
        pipeline = await _compared(_briefs, meshes, extent)
        webhook = await _compared(_webhooks, meshes, extent)
        await _confirm(guarded, open_to_all=False)
        await _confirm(bare, open_to_all=True)
    return GuardsResult(
        webhook=webhook,
        pipeline=pipeline,
        search=search,
        added_at_most=max(each.added for each in (webhook, pipeline, search)),
        turns=extent.turns,
    )


async def _embedded_client(mesh: BenchMesh) -> Client:
    """With all its tickets embedded, so that nothing else is done while it is measured."""
    client = await searched_client(mesh, _TICKETS, notes=True)
    connection = await asyncpg.connect(mesh.database_url)
    try:
        async with asyncio.timeout(_EMBEDDED_SECONDS):
            while await connection.fetchval(_NOT_EMBEDDED):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise DossierError(
            f"The {_TICKETS:,} tickets were not embedded within {_EMBEDDED_SECONDS:.0f} s.",
            hint="Is the machine busy with something else?",
        ) from None
    finally:
        await connection.close()
    await learn_statistics(mesh)
    return client


async def _compared(load: Load, meshes: Sequence[tuple[BenchMesh, Client]], extent: Extent) -> Cost:
    """In turns, and each first as often as the other: the machine gets faster and slower meanwhile."""
    rates: dict[str, list[float]] = {"guarded": [], "bare": []}
    async with AsyncExitStack() as loads:
        turn = [
            (name, await loads.enter_async_context(load(mesh, client, extent)))
            for name, (mesh, client) in zip(rates, meshes, strict=True)
        ]
        for _ in range(extent.turns):
            for name, measure in turn:
                rates[name].append(await measure())
            turn.reverse()
    with_guards, without = statistics.fmean(rates["guarded"]), statistics.fmean(rates["bare"])
    return Cost(round(with_guards, 1), round(without, 1), round(without / with_guards - 1, 3))


@asynccontextmanager
async def _searches(mesh: BenchMesh, _client: Client, extent: Extent) -> AsyncIterator[Measure]:
    async def measure() -> float:
        calls = await search_calls(mesh, extent, size=_TICKETS)
        if calls.failed:
            raise _unlike("searches", f"{calls.failed} failed")
        return calls.per_second

    yield measure


@asynccontextmanager
async def _briefs(mesh: BenchMesh, client: Client, extent: Extent) -> AsyncIterator[Measure]:
    some = dataclasses.replace(extent, backlog=max(_FEWEST_BRIEFS, extent.backlog // 3))

    async with httpx.AsyncClient(base_url=mesh.desk_url, timeout=30, trust_env=False) as desk:

        async def measure() -> float:
            backlog, per_second = await all_at_once(mesh, desk, [client], some)
            if backlog.whole < backlog.ended:
                raise _unlike("briefs", f"{backlog.ended - backlog.whole} failed or lack a source's answer")
            return per_second

        yield measure


@asynccontextmanager
async def _webhooks(mesh: BenchMesh, client: Client, extent: Extent) -> AsyncIterator[Measure]:
    async def measure() -> float:
        # Those that are refused do not count.
        return (await measure_level(mesh, extent, [client], callers=_CALLERS)).accepted_per_second

    async with processing_paused(mesh):
        yield measure


def _unlike(what: str, why: str) -> DossierError:
    """Who does less is faster."""
    return DossierError(f"The {what} of a mesh cannot be compared: {why}.", hint=_NO_COMPARISON)


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
            hint=_NO_COMPARISON,
        )
