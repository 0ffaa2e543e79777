"""The tickets that are searched: one client's many beside nine smaller clients', with vectors and indexes.

They are the same every time. What is there already is gone on with: a million take 20 to 30 minutes.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from cli.bench.clients import SOURCE, create_client, import_tickets
from cli.bench.mesh import BenchMesh
from cli.bench.synthetic import past_tickets
from cli.bench.vectors import origins, write_vectors
from cli.output import Output
from cli.progress import progress_of

SMALLEST: Final = 100
_BESIDE: Final = 9
_CHUNK: Final = 10_000
_LOOK_SECONDS: Final = 0.5
_FEW_VECTORS: Final = 5_000
"""As history has it: beyond it a client has an index of its own."""
_MIB: Final = 1 << 20
_TABLES: Final = ("tickets", "ticket_search", "lexeme_counts", "ticket_vectors")


@dataclass(frozen=True, slots=True)
class Built:
    """What this run added to what was there, and what all of it takes."""

    imported: int
    imported_per_second: float
    """Through ImportTickets, searchable by words when it ends."""
    history_mb_before: float
    history_mb_most: float
    """Memory of the service while it imported."""
    vectors: int
    indexes: int
    index_seconds: float
    """For the indexes over vectors; the one over words grows with the import."""
    disk_mb: dict[str, float]
    """Of each table with its indexes, and of the larger indexes by themselves."""


def sizes_beside(size: int) -> tuple[int, ...]:
    """The largest client's size and those of nine from 100 to a tenth of it, evenly by their logarithms."""
    largest = max(SMALLEST, size // 10)
    steps = [SMALLEST * (largest / SMALLEST) ** (at / (_BESIDE - 1)) for at in range(_BESIDE)]
    return tuple(sorted({_rounded(step) for step in steps} | {size}))


def client_of(size: int) -> str:
    return f"search-{size}"


async def build_corpus(mesh: BenchMesh, sizes: Sequence[int], *, output: Output) -> Built:
    """Add what is missing. The mesh has no embedder: it would be busy with a million for hours."""
    admin = await asyncpg.connect(mesh.database_url)
    try:
        imported = await _missing(admin, sizes)
        before, begun = _history_mb(mesh), time.monotonic()
        async with _peak(mesh) as most:
            for size in sizes:
                await _import(mesh, admin, size, output=output)
        seconds = time.monotonic() - begun
        vectors = await give_vectors(mesh, sizes, output=output)
        # What autovacuum does by itself within minutes: index and statistics as they are in service.
        await admin.execute("vacuum analyze")
        indexes, index_seconds = await _index(admin, sizes, output=output)
        return Built(
            imported=imported,
            imported_per_second=round(imported / seconds, 1) if imported else 0.0,
            history_mb_before=before,
            history_mb_most=max(most),
            vectors=vectors,
            indexes=indexes,
            index_seconds=round(index_seconds, 1),
            disk_mb=await _disk(admin),
        )
    finally:
        await admin.close()


async def _known(admin: asyncpg.Connection, size: int) -> int:
    """How many tickets are there: they come in order, so these are the first."""
    known: int = await admin.fetchval(
        "select count(*) from history.tickets where tenant_id = $1", client_of(size)
    )
    return known


async def _missing(admin: asyncpg.Connection, sizes: Sequence[int]) -> int:
    return sum([size - await _known(admin, size) for size in sizes])


async def _import(mesh: BenchMesh, admin: asyncpg.Connection, size: int, *, output: Output) -> None:
    tenant = client_of(size)
    if not await admin.fetchval("select exists (select from tenants.tenants where tenant_id = $1)", tenant):
        await create_client(mesh, tenant, notes=False)
    known = await _known(admin, size)
    with progress_of(f"importing {size:,} tickets", total=size, output=output) as advance:
        advance(known)
        for start in range(known, size, _CHUNK):
            end = min(size, start + _CHUNK)
            await import_tickets(mesh, tenant, past_tickets(end, after=start))
            advance(end - start)


async def give_vectors(mesh: BenchMesh, sizes: Sequence[int], *, output: Output) -> int:
    """How many were missing."""
    among = await asyncio.to_thread(origins, mesh.instance.home)
    written = 0
    admin = await asyncpg.connect(mesh.database_url)
    try:
        # An index that is there takes each vector by itself, which is many times slower than building it.
        await admin.execute("select pg_advisory_lock(hashtextextended('history.tend_vector_indexes', 0))")
        with progress_of("giving tickets a vector", total=sum(sizes), output=output) as advance:
            for size in sizes:
                if await _lack_many(admin, size):
                    await _drop_index(admin, client_of(size))
                async for looked_at, missing in write_vectors(admin, client_of(size), SOURCE, size, among):
                    written += missing
                    advance(looked_at)
    finally:
        await admin.close()
    return written


async def _lack_many(admin: asyncpg.Connection, size: int) -> bool:
    known: int = await admin.fetchval(
        "select count(*) from history.ticket_vectors where tenant_id = $1", client_of(size)
    )
    return 2 * known < size


async def _drop_index(admin: asyncpg.Connection, tenant: str) -> None:
    name = await admin.fetchval("select 'history.ticket_vectors_of_' || md5($1)", tenant)
    await admin.execute(f"drop index if exists {name}")


async def _index(admin: asyncpg.Connection, sizes: Sequence[int], *, output: Output) -> tuple[int, float]:
    """As history does by itself, a moment after a client has become large; it may be at it, too."""
    begun = time.monotonic()
    missing = await _without_index(admin, sizes)
    made = len(missing)
    with progress_of("building indexes", total=made, output=output) as advance:
        while missing:
            if not await admin.fetchval("select history.tend_vector_indexes($1)", _FEW_VECTORS):
                await asyncio.sleep(_LOOK_SECONDS)
            left = await _without_index(admin, sizes)
            advance(len(missing) - len(left))
            missing = left
    return made, time.monotonic() - begun


async def _without_index(admin: asyncpg.Connection, sizes: Sequence[int]) -> Sequence[str]:
    large = [client_of(size) for size in sizes if size > _FEW_VECTORS]
    rows = await admin.fetch(
        "select tenant from unnest($1::text[]) as tenant"
        " where to_regclass('history.ticket_vectors_of_' || md5(tenant)) is null",
        large,
    )
    return [row["tenant"] for row in rows]


async def _disk(admin: asyncpg.Connection) -> dict[str, float]:
    rows = await admin.fetch(
        """
        select relname as name, pg_total_relation_size(oid) as bytes from pg_class
        where relnamespace = 'history'::regnamespace and relname = any($1)
        union all
        select relname, pg_relation_size(oid) from pg_class
        where relnamespace = 'history'::regnamespace and relkind = 'i' and pg_relation_size(oid) > 16 << 20
        order by bytes desc
        """,
        _TABLES,
    )
    return {row["name"]: round(row["bytes"] / _MIB, 1) for row in rows}


def _history_mb(mesh: BenchMesh) -> float:
    mark = next(each.mark for each in mesh.record.processes if each.name == "history")
    process = mark.process() if mark else None
    return round(process.memory_info().rss / _MIB, 1) if process else math.nan


@asynccontextmanager
async def _peak(mesh: BenchMesh) -> AsyncIterator[list[float]]:
    """What the service's memory was at each look."""
    seen = [_history_mb(mesh)]

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            seen.append(_history_mb(mesh))

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


def _rounded(number: float) -> int:
    """To two digits."""
    return int(round(number, 1 - math.floor(math.log10(number))))
