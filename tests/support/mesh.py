"""A whole mesh of real processes with the sample client, for tests of what it does together."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import grpc
import httpx
import psutil
from google.protobuf.descriptor import ServiceDescriptor

from cli.demo import sample
from cli.demo.desk import Delivered, Desk, running_desk
from cli.enhancing import orchestrating, read
from cli.follow import all_ready
from cli.instance import Instance, InstanceRecord, Phase
from cli.output import Output
from cli.ports import SERVICES
from cli.rpc import calling
from cli.show.steps import ENDED
from cli.supervision import start_supervisor
from cli.table import memory_in_all
from dossier.orchestrator.v1.enhancement_pb2 import Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2 import WatchEnhancementRequest
from egress.guard import SETTING
from tests.support.polling import eventually
from tests.support.ports import free_mesh_port

if TYPE_CHECKING:
    from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
STANDINS = {SETTING: "127.0.0.1/32"}
"""Where the stand-ins of tests listen."""


@dataclass(frozen=True, slots=True)
class Mesh:
    instance: Instance
    client: sample.Client
    desk: Desk
    """The client's ticketing tool: what is reported there comes as a webhook, and notes are read back."""
    memory_mb: float
    """PSS of everything at rest, right after the sample was loaded."""

    @property
    def record(self) -> InstanceRecord:
        return self.instance.require_running()

    @property
    def tenant(self) -> str:
        return self.client.tenant

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.record.gateway_port}"

    def http(self) -> httpx.Client:
        """Speak to the gateway as the client's administrator."""
        return httpx.Client(
            base_url=self.gateway_url, headers={"x-api-key": self.client.api_key}, timeout=30, trust_env=False
        )

    def calling(
        self, service: str, *descriptors: ServiceDescriptor, role: str = "operator"
    ) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        return calling(self.instance, service, descriptors=descriptors, tenant=self.tenant, role=role)

    def orchestrating(self) -> "AbstractAsyncContextManager[OrchestratorServiceAsyncStub]":
        return orchestrating(self.instance, self.tenant)

    def report(self, subject: str, description: str = "", **told: object) -> Delivered:
        """Report an incident at the help desk, whose webhook the gateway answers."""
        return self.desk.create_request({"subject": subject, "description": description, **told})

    def accepted(self, subject: str, description: str = "", **told: object) -> str:
        """Report an incident that becomes an enhancement; its id."""
        delivered = self.report(subject, description, **told)
        assert delivered.status == 202, delivered
        enhancement: str = json.loads(delivered.body)["enhancement_id"]
        return enhancement

    async def ended(self, enhancement_id: str) -> Enhancement:
        async with self.orchestrating() as orchestrator:
            request = WatchEnhancementRequest(enhancement_id=enhancement_id)
            async for change in orchestrator.WatchEnhancement(request, timeout=60):
                if change.enhancement.state in ENDED:
                    break
            return await read(orchestrator, enhancement_id)

    def dossier(
        self, *arguments: str, text: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command on this mesh, as a user does."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("dossier")), *arguments],
            capture_output=True,
            text=True,
            input=text,
            env=clean_environment() | {"DOSSIER_DATA_DIR": str(self.instance.home)} | environment,
            check=False,
            timeout=120,
        )

    async def row_counts(self) -> dict[str, int]:
        """How many rows each table has, the engine's as well."""
        connection = await asyncpg.connect(self.record.database_url)
        try:
            tables = await connection.fetch(
                "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
                " WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE'",
                [*SERVICES, "dbos"],
            )
            return {
                each["name"]: await connection.fetchval(f"SELECT count(*) FROM {each['name']}")  # noqa: S608
                for each in tables
            }
        finally:
            await connection.close()

    def process(self, name: str) -> psutil.Process | None:
        found = next(entry for entry in self.record.processes if entry.name == name)
        return found.mark.process() if found.mark else None

    def pids(self) -> dict[str, int | None]:
        return {entry.name: entry.mark.pid if entry.mark else None for entry in self.record.processes}

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Stop one process for as long as the block lasts; afterwards everything is ready again."""
        process = self.process(name)
        assert process is not None
        process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        process.wait(_STOP_SECONDS)
        try:
            yield
        finally:
            self.start_stopped()

    def start_stopped(self) -> None:
        """Start what has stopped, as `dossier up` does, and wait until all is ready."""
        eventually(lambda: any(pid is None for pid in self.pids().values()), what="the supervisor noticing")
        os.kill(self.record.supervisor.pid, signal.SIGHUP)
        eventually(
            lambda: all_ready(self.record), what="everything ready again", timeout_seconds=_START_SECONDS
        )


def clean_environment() -> dict[str, str]:
    """Leave out what would make a mesh of tests somebody's own."""
    foreign = ("DOSSIER_", "OTEL_", "OPENAI_", "COLUMNS")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


@contextmanager
def running_mesh(home: Path, *, otlp_endpoint: str, tls: bool = False) -> Iterator[Mesh]:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "DOSSIER_LOG_FORMAT": "json",
        "DOSSIER_TENANTS_DELETION_PAUSE_SECONDS": "0.5",
    }
    with running_desk() as desk, supervised(home, environment, tls=tls) as instance:
        client = asyncio.run(sample.create_client(instance, desk))
        loaded = asyncio.run(sample.load(instance, client.tenant, output=Output(as_json=True)))
        assert not any(summary.rejected for summary in loaded.values())
        yield Mesh(instance, client, desk, memory_in_all(instance.require_running()).pss)


@contextmanager
def supervised(home: Path, environment: dict[str, str], *, tls: bool = False) -> Iterator[Instance]:
    """Run an instance without clients, all ready, with this beside the clean environment."""
    home.mkdir(mode=0o711)
    instance = Instance(home)
    supervisor = start_supervisor(
        instance,
        free_mesh_port(),
        bound=True,
        tls=tls,
        environment=clean_environment() | STANDINS | environment,
    )
    try:
        eventually(lambda: _ready(instance), what="a ready mesh", timeout_seconds=_START_SECONDS)
        yield instance
    finally:
        supervisor.terminate()
        supervisor.wait(_STOP_SECONDS)


def _ready(instance: Instance) -> bool:
    record = instance.read()
    assert record is None or record.phase is not Phase.FAILED, record
    return record is not None and all_ready(record)
