"""The service as a process of its own, and a caller as one, both to be killed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import grpc

from dossier.synthesis.v1 import synthesis_service_pb2 as pb
from dossier.synthesis.v1.synthesis_service_pb2_grpc import SynthesisServiceStub
from tests.support.llm_endpoint import LlmEndpoint
from tests.synthesis.client import EVIDENCE, TICKET, Arrangement, Client, Running

Process = asyncio.subprocess.Process

_START_SECONDS: Final = 30


@asynccontextmanager
async def service_process(
    arrangement: Arrangement, endpoint: LlmEndpoint, base_url: str, **environment: str
) -> AsyncIterator[tuple[Process, Client]]:
    """The service, and a client of it for the tenant acme."""
    settings = {
        "DOSSIER_SYNTHESIS_GRPC_PORT": "0",
        "DOSSIER_SYNTHESIS_METRICS_PORT": "0",
        "DOSSIER_SYNTHESIS_DATABASE_URL": arrangement.database.url("synthesis"),
        "DOSSIER_SYNTHESIS_LLM_MODEL": endpoint.models[0],
        "DOSSIER_SYNTHESIS_LLM_INPUT_PRICE": "1",
        "DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE": "10",
        "DOSSIER_LOG_FORMAT": "json",
        "OPENAI_API_KEY": endpoint.api_key,
        "OPENAI_BASE_URL": base_url,
        **arrangement.keys.environment,
    }
    async with _running("services.synthesis", environment=settings | environment) as process:
        async with asyncio.timeout(_START_SECONDS):
            target = await _target(process)
        async with grpc.aio.insecure_channel(target) as channel:
            yield process, Running(SynthesisServiceStub(channel), arrangement, target, "").acme


@asynccontextmanager
async def caller_process(service: Running) -> AsyncIterator[Process]:
    """Asks what `service.acme.write()` asks."""
    (_, authorization) = service.acme.metadata[0]
    environment = {"TARGET": service.target, "AUTHORIZATION": authorization}
    async with _running("tests.synthesis.processes", environment=environment) as process:
        yield process


@asynccontextmanager
async def _running(module: str, *, environment: Mapping[str, str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _target(process: Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        said = json.loads(line)
        if said["event"] == "service_started":
            return str(said["target"])
    raise AssertionError("the service did not start")


async def _ask() -> None:
    async with grpc.aio.insecure_channel(os.environ["TARGET"]) as channel:
        await SynthesisServiceStub(channel).WriteBrief(
            pb.WriteBriefRequest(request_id="run-1", ticket=TICKET, evidence=EVIDENCE),
            metadata=(("authorization", os.environ["AUTHORIZATION"]),),
            timeout=20,
        )


if __name__ == "__main__":
    asyncio.run(_ask())
