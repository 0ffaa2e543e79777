"""How long a search for similar tickets takes, by how many tickets the client has."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from cli.bench.baseline import SEARCH_CALLERS, empty_call
from cli.bench.clients import HISTORY, create_client, import_tickets
from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh
from cli.bench.rpc import Calls, measure_rpc
from cli.bench.synthetic import incidents, past_tickets
from cli.output import Json
from services.runtime.tokens import TokenSigner

_QUERIES: Final = 100


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


@dataclass(frozen=True, slots=True)
class SearchResult:
    tenants: tuple[TenantSearch, ...]
    callers: int
    empty_call: Calls


async def measure_search(mesh: BenchMesh, extent: Extent, *, empty: Calls | None) -> SearchResult:
    empty = empty or await empty_call(seconds=max(1.0, extent.seconds / 2), callers=SEARCH_CALLERS)
    for size in extent.tenant_tickets:
        await searched_client(mesh, size)
    await _settle(mesh)
    tenants = [await _told(mesh, extent, size=size, empty=empty) for size in extent.tenant_tickets]
    return SearchResult(tuple(tenants), SEARCH_CALLERS, empty)


async def searched_client(mesh: BenchMesh, size: int) -> None:
    await create_client(mesh, _tenant(size), notes=False)
    await import_tickets(mesh, _tenant(size), past_tickets(size))


async def search_calls(mesh: BenchMesh, extent: Extent, *, size: int) -> Calls:
    """Search the tickets of the client of that size."""
    signer = TokenSigner(mesh.instance.signing_key)
    requests: list[dict[str, Json]] = [
        {"subject": each.subject, "description": each.description} for each in incidents(_QUERIES)
    ]
    return await measure_rpc(
        f"127.0.0.1:{mesh.record.ports.serving('history')}",
        HISTORY.file,
        f"{HISTORY.full_name}/SearchSimilarTickets",
        requests=requests,
        callers=SEARCH_CALLERS,
        seconds=extent.seconds,
        warmup_seconds=extent.warmup_seconds,
        token=signer.mint(audience="history", tenant=_tenant(size), subject="bench", role="service"),
    )


async def _told(mesh: BenchMesh, extent: Extent, *, size: int, empty: Calls) -> TenantSearch:
    calls = await search_calls(mesh, extent, size=size)
    return TenantSearch(
        tickets=size,
        p50_ms=calls.p50_ms,
        p95_ms=calls.p95_ms,
        p99_ms=calls.p99_ms,
        searches_per_second=calls.per_second,
        empty_call_ratio=round(calls.p50_ms / empty.p50_ms, 1),
        failed=calls.failed,
        k6_cores=calls.k6_cores,
    )


async def _settle(mesh: BenchMesh) -> None:
    """Do at once what PostgreSQL does by itself within a minute of such an import: learn its statistics."""
    connection = await asyncpg.connect(mesh.database_url)
    try:
        await connection.execute("analyze")
    finally:
        await connection.close()


def _tenant(size: int) -> str:
    return f"search-{size}"
