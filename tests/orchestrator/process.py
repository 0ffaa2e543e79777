"""The orchestrator as a process of its own, to be killed."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx

from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.client import SECONDS, Client
from tests.support.keys import Keys


class OrchestratorProcess:
    def __init__(self, child: asyncio.subprocess.Process, client: Client, *, metrics_port: int) -> None:
        self._child = child
        self._metrics_port = metrics_port
        self.acme = client

    async def kill(self) -> None:
        self._child.kill()
        await self._child.wait()

    def suspend(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    async def finished(self) -> int:
        """How many runs it has brought to their end."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"http://127.0.0.1:{self._metrics_port}/metrics")
        found = re.search(
            r'^dossier_orchestrator_finished_total\{outcome="succeeded"\} (\S+)$', answer.text, re.MULTILINE
        )
        return int(float(found[1])) if found else 0

    async def terminate(self) -> int:
        self._child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            return await self._child.wait()


@asynccontextmanager
async def process(settings: OrchestratorSettings, keys: Keys) -> AsyncIterator[OrchestratorProcess]:
    """Start it with these settings; it is gone at the end in any case."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.orchestrator"),
        cwd=Path(__file__).parents[2],
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
    )
    reading = None
    try:
        async with asyncio.timeout(SECONDS):
            started = await _started(child)
        reading = asyncio.create_task(_drop(child))
        async with grpc.aio.insecure_channel(started["target"]) as channel:
            client = Client(OrchestratorServiceStub(channel), keys, tenant="acme")
            yield OrchestratorProcess(child, client, metrics_port=started["metrics_port"])
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        if reading is not None:
            await reading


def environment(settings: OrchestratorSettings) -> dict[str, str]:
    values = settings.model_dump(exclude_unset=True)
    values["database_url"] = settings.database_url.get_secret_value()
    return {f"DOSSIER_ORCHESTRATOR_{name.upper()}": str(value) for name, value in values.items()}


async def _started(child: asyncio.subprocess.Process) -> dict[str, Any]:
    """Read the log until it says where the service listens."""
    if child.stdout is None:
        raise AssertionError("the child's output is a pipe")
    async for line in child.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "service_started":
            return event
    raise AssertionError("the orchestrator ended before it had started")


async def _drop(child: asyncio.subprocess.Process) -> None:
    if child.stdout is not None:
        while await child.stdout.read(65_536):
            pass
