"""Acceptance alone: what comes is kept and waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.bench.clients import orchestrating
from cli.bench.mesh import BenchMesh
from dossier.orchestrator.v1.orchestrator_service_pb2 import PauseQueueRequest, ResumeQueueRequest


@asynccontextmanager
async def processing_paused(mesh: BenchMesh) -> AsyncIterator[None]:
    async with orchestrating(mesh, None) as everybodys:
        await everybodys.PauseQueue(PauseQueueRequest())
    try:
        yield
    finally:
        async with orchestrating(mesh, None) as everybodys:
            await everybodys.ResumeQueue(ResumeQueueRequest())
