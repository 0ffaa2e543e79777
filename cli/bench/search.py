"""How long a search for similar tickets takes, by how many tickets the client has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.bench.baseline import SEARCH_CALLERS, empty_call
from cli.bench.clients import HISTORY, Client, create_client, import_tickets
from cli.bench.corpus import Built, client_of, give_vectors
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh
from cli.bench.rpc import Calls, measure_rpc
from cli.bench.synthetic import incidents, past_tickets
from cli.bench.usage import cpu_cores
from cli.output import Json, Output
from services.runtime.tokens import TokenSigner

STEADY_PER_SECOND: Final = 20
_QUERIES: Final = 1_000
_SEARCHING: Final = ("history", "postgres", "embedder")


@dataclass(frozen=True, slots=True)
class TenantSearch:
    tickets: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    searches_per_second: float
    empty_call_ratio: float
    """Its p50 in empty gRPC calls, called the same way."""
    failed: int
    k6_cores: float
    cpu_ms: Mapping[str, float]
    """Processor time of one search, by process; the embedder's makes the question's vector."""
    embedding_share: float
    """Of that time, the embedder's."""
    by_meaning: float
    """The share of the searches that compared meaning, too."""


@dataclass(frozen=True, slots=True)
class SteadySearch:
    """As many searches a second as are asked for, in the largest client, whatever they take."""

    tickets: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    late: int
    """Searches that were not begun in time, because all callers still waited."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    tenants: tuple[TenantSearch, ...]
    steady: SteadySearch
    callers: int
    empty_call: Calls
    built: Built | None
    """How the clients came to their tickets, where they were built to be kept."""


async def measure_search(
    mesh: BenchMesh, extent: Extent, *, empty: Calls | None, built: Built | None, output: Output
) -> SearchResult:
    """With `built`, the clients are there."""
    empty = empty or await empty_call(seconds=max(1.0, extent.seconds / 2), callers=SEARCH_CALLERS)
    if built is None:
        for size in extent.tenant_tickets:
            await searched_client(mesh, size, notes=False)
        await give_vectors(mesh, extent.tenant_tickets, output=output)
        await learn_statistics(mesh)
    tenants = [await _told(mesh, extent, size=size, empty=empty) for size in extent.tenant_tickets]
    steady = await _steady(mesh, extent, size=max(extent.tenant_tickets))
    return SearchResult(tuple(tenants), steady, SEARCH_CALLERS, empty, built)


async def searched_client(mesh: BenchMesh, size: int, *, notes: bool) -> Client:
    client = await create_client(mesh, client_of(size), notes=notes)
    await import_tickets(mesh, client.tenant, past_tickets(size))
    return client


async def search_calls(
    mesh: BenchMesh, extent: Extent, *, size: int, per_second: float | None = None
) -> Calls:
    """Search the tickets of the client of that size, as often as it answers or so many times a second."""
    signer = TokenSigner(mesh.instance.signing_key)
    return await measure_rpc(
        f"127.0.0.1:{mesh.record.ports.serving('history')}",
        HISTORY.file,
        f"{HISTORY.full_name}/SearchSimilarTickets",
        requests=_requests(),
        callers=SEARCH_CALLERS,
        per_second=per_second,
        seconds=extent.seconds,
        warmup_seconds=extent.warmup_seconds,
        token=signer.mint(audience="history", tenant=client_of(size), subject="bench", role="service"),
    )


def _requests() -> Sequence[Mapping[str, Json]]:
    return [{"subject": each.subject, "description": each.description} for each in incidents(_QUERIES)]


async def _told(mesh: BenchMesh, extent: Extent, *, size: int, empty: Calls) -> TenantSearch:
    before = await _questions(mesh)
    with cpu_cores(mesh.record) as cores:
        calls = await search_calls(mesh, extent, size=size)
    asked = {by: count - before[by] for by, count in (await _questions(mesh)).items()}
    # The load before the measured one was cut off is in both.
    cpu_ms = {name: round(1000 * cores.get(name, 0.0) / calls.per_second, 2) for name in _SEARCHING}
    return TenantSearch(
        tickets=size,
        p50_ms=calls.p50_ms,
        p95_ms=calls.p95_ms,
        p99_ms=calls.p99_ms,
        searches_per_second=calls.per_second,
        empty_call_ratio=round(calls.p50_ms / empty.p50_ms, 1),
        failed=calls.failed,
        k6_cores=calls.k6_cores,
        cpu_ms=cpu_ms,
        embedding_share=round(cpu_ms["embedder"] / (sum(cpu_ms.values()) or 1.0), 2),
        by_meaning=round(asked["meaning"] / (sum(asked.values()) or 1.0), 3),
    )


async def _steady(mesh: BenchMesh, extent: Extent, *, size: int) -> SteadySearch:
    calls = await search_calls(mesh, extent, size=size, per_second=STEADY_PER_SECOND)
    return SteadySearch(size, calls.per_second, calls.p50_ms, calls.p95_ms, calls.p99_ms, calls.late)


async def _questions(mesh: BenchMesh) -> dict[str, float]:
    """How many searches history has answered, by what they compared."""
    address = f"http://127.0.0.1:{mesh.record.ports.metrics('history')}/metrics"
    async with httpx.AsyncClient(trust_env=False) as http:
        told = (await http.get(address)).text
    return {
        sample.labels["by"]: sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if sample.name == "dossier_history_questions_total"
    }


async def learn_statistics(mesh: BenchMesh) -> None:
    """Do at once what PostgreSQL does by itself within a minute of such an import: learn its statistics."""
    connection = await asyncpg.connect(mesh.database_url)
    try:
        await connection.execute("analyze")
    finally:
        await connection.close()
