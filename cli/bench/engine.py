"""What the bare workflow engine manages, beside which the pipeline is measured."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

import asyncpg

from cli.bench.baseline import own_database
from cli.bench.mesh import BenchMesh, clean_environment
from cli.errors import DossierError
from cli.output import Json
from cli.program import Program

_DATABASE: Final = "bench_engine"
_SECONDS: Final = 90.0
_FREE: Final[dict[str, Json]] = {"worker_concurrency": 64, "polling_interval_sec": 0.05}
"""A queue without fairness between clients, polled often."""


@dataclass(frozen=True, slots=True)
class EngineResult:
    """Workflows of empty checkpointed steps, as many steps as a brief has, in a process of their own."""

    steps: int
    free_per_second: float
    """On a queue without fairness between clients; the mean of the two times."""
    times: tuple[float, float]
    """Before the briefs and after them: a machine's speed changes within a minute."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The bare engine on the instance's PostgreSQL, measured around what stands beside it."""

    mesh: BenchMesh
    count: int
    steps: int
    before: float

    @classmethod
    async def first(cls, mesh: BenchMesh, *, count: int) -> Self:
        """After some briefs were made: how many steps they have is read from what the engine kept of them."""
        steps = await _steps(mesh)
        return cls(mesh, count, steps, await _bare(mesh, count=count, steps=steps, queue=_FREE))

    async def again(self) -> EngineResult:
        after = await _bare(self.mesh, count=self.count, steps=self.steps, queue=_FREE)
        return EngineResult(self.steps, round((self.before + after) / 2, 2), (self.before, after))


async def _steps(mesh: BenchMesh) -> int:
    connection = await asyncpg.connect(mesh.database_url)
    try:
        steps: int | None = await connection.fetchval(
            """
            select count(*) as steps
            from dbos.workflow_status w join dbos.operation_outputs o using (workflow_uuid)
            where w.status = 'SUCCESS' and w.name = 'enhance'
            group by w.workflow_uuid order by steps desc limit 1
            """
        )
    finally:
        await connection.close()
    if steps is None:
        raise DossierError("No brief was made.", hint="Try one: `dossier demo`.")
    return steps


async def _bare(mesh: BenchMesh, *, count: int, steps: int, queue: dict[str, Json]) -> float:
    async with own_database(mesh, _DATABASE) as url:
        argv = (
            *(sys.executable, "-P", "-m", "cli.bench.bare_engine", url),
            *(str(count), str(steps), json.dumps(queue)),
        )
        program = Program("bare_engine", argv, clean_environment(os.environ))
        process = await asyncio.create_subprocess_exec(
            *program.launch_argv(), env=dict(program.environment), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        try:
            async with asyncio.timeout(_SECONDS):
                out, words = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise DossierError(
            "The bare engine could not be measured.",
            hint=" ".join(words.decode(errors="replace").split())[-500:],
        )
    return float(out)
