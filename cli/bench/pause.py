"""Acceptance alone: what comes is kept and waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from cli.bench.mesh import BenchMesh
from cli.rpc import calling
from dossier.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub

_ORCHESTRATOR: Final = orchestrator.DESCRIPTOR.services_by_name["OrchestratorService"]


@asynccontextmanager
async def processing_paused(mesh: BenchMesh) -> AsyncIterator[None]:
    # A token without a tenant speaks for all of them.
    everything = partial(calling, mesh.instance, "orchestrator", descriptors=[_ORCHESTRATOR], tenant=None)
    async with everything() as channel:
        await OrchestratorServiceStub(channel).PauseQueue(orchestrator.PauseQueueRequest())
    try:
        yield
    finally:
        async with everything() as channel:
            await OrchestratorServiceStub(channel).ResumeQueue(orchestrator.ResumeQueueRequest())
