"""The bare limits: a gRPC call that does nothing, an INSERT with a commit of its own."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2

from cli.bench.extent import Extent
from cli.bench.mesh import BenchMesh, clean_environment, printing
from cli.bench.rpc import Calls, measure_rpc
from cli.migrate.urls import with_database
from cli.program import Program

SEARCH_CALLERS: Final = 4
_DATABASE: Final = "bench"
_WRITERS: Final = 32
_HEALTH: Final = descriptor_pool.Default().FindFileByName(health_pb2.DESCRIPTOR.name)
_ROW: Final = "x" * 700
_INSERT: Final = "insert into bare (id, content) values ($1, $2) on conflict do nothing"


@dataclass(frozen=True, slots=True)
class Inserts:
    """Rows of 700 bytes through asyncpg, prepared, each its own transaction, on the instance's PostgreSQL."""

    single_per_second: float
    single_p50_ms: float
    concurrent_per_second: float
    """With 32 writers, whose commits PostgreSQL flushes together."""
    concurrent_p50_ms: float


@dataclass(frozen=True, slots=True)
class BaselineResult:
    empty_call: tuple[Calls, ...]
    """grpc.aio in a process of its own, without interceptors, called by k6."""
    insert: Inserts

    def empty_call_of(self, callers: int) -> Calls:
        return next(calls for calls in self.empty_call if calls.callers == callers)


async def measure_baseline(mesh: BenchMesh, extent: Extent) -> BaselineResult:
    seconds = max(1.0, extent.seconds / 2)
    calls = [await empty_call(seconds=seconds, callers=callers) for callers in (1, SEARCH_CALLERS, _WRITERS)]
    return BaselineResult(tuple(calls), await insert_baseline(mesh, seconds=seconds))


async def empty_call(*, seconds: float, callers: int) -> Calls:
    argv = (sys.executable, "-P", "-m", "cli.bench.empty_server")
    with printing(Program("empty_server", argv, clean_environment(os.environ))) as target:
        return await measure_rpc(
            target,
            _HEALTH,
            "grpc.health.v1.Health/Check",
            requests=[{}],
            callers=callers,
            seconds=seconds,
            warmup_seconds=1,
        )


async def insert_baseline(mesh: BenchMesh, *, seconds: float) -> Inserts:
    async with (
        own_database(mesh, _DATABASE) as url,
        asyncpg.create_pool(url, min_size=_WRITERS, max_size=_WRITERS) as pool,
    ):
        await pool.execute("create table bare (id bigint primary key, content text not null)")
        single = await _insert(pool, writers=1, seconds=seconds, first_id=0)
        concurrent = await _insert(pool, writers=_WRITERS, seconds=seconds, first_id=1 << 40)
    return Inserts(
        single_per_second=round(len(single) / seconds, 1),
        single_p50_ms=round(statistics.median(single), 2),
        concurrent_per_second=round(len(concurrent) / seconds, 1),
        concurrent_p50_ms=round(statistics.median(concurrent), 2),
    )


@asynccontextmanager
async def own_database(mesh: BenchMesh, name: str) -> AsyncIterator[str]:
    """A database beside the instance's, on the same server; dropped afterwards."""
    administrator = await asyncpg.connect(mesh.database_url)
    try:
        await administrator.execute(f'create database "{name}"')
        try:
            yield with_database(mesh.database_url, name)
        finally:
            await administrator.execute(f'drop database "{name}" with (force)')
    finally:
        await administrator.close()


async def _insert(
    pool: "asyncpg.Pool[asyncpg.Record]", *, writers: int, seconds: float, first_id: int
) -> list[float]:
    """How long each took, in milliseconds."""
    end = time.perf_counter() + seconds

    async def write(writer: int) -> list[float]:
        took = []
        async with pool.acquire() as connection:
            number = first_id + (writer << 32)
            while (begun := time.perf_counter()) < end:
                number += 1
                await connection.execute(_INSERT, number, _ROW)
                took.append((time.perf_counter() - begun) * 1000)
        return took

    return [each for some in await asyncio.gather(*map(write, range(writers))) for each in some]
