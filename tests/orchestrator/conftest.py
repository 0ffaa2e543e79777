"""The orchestrator as it runs: real gRPC, real PostgreSQL, real HTTP at the ticketing tool."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc
import pytest
from pydantic import SecretStr

from cli.standins.servicedesk_plus import NewRequest, ServiceDesk
from cli.standins.servicedesk_plus import running as tool_running
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from services.orchestrator.service import build
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.serve import serving
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.support.databases import TestDatabase
from tests.support.keys import Keys


@pytest.fixture
def desk() -> ServiceDesk:
    """The ticketing tool, with ten requests: 1 to 10."""
    requests = [
        NewRequest(id=str(number), subject=f"VPN drops ({number})", description="<p>VPN at <b>fw-01</b></p>")
        for number in range(1, 11)
    ]
    return ServiceDesk(requests)


@pytest.fixture
async def peers(keys: Keys, desk: ServiceDesk) -> AsyncIterator[Peers]:
    async with Peers(keys).running() as peers, tool_running(desk) as base_url:
        peers.tenants.base_urls = {"acme": base_url, "globex": base_url}
        yield peers


@pytest.fixture
def settings(database: TestDatabase, peers: Peers, keys: Keys) -> OrchestratorSettings:
    return OrchestratorSettings(
        grpc_port=0,
        metrics_port=0,
        drain_seconds=0.5,
        database_url=SecretStr(database.url("orchestrator")),
        token_jwks_file=keys.jwks_file,
        token_signing_key_file=keys.signing_key_file,
        knowledge_seconds=1.5,
        **peers.targets,
    )


@pytest.fixture
async def stub(settings: OrchestratorSettings) -> "AsyncIterator[OrchestratorServiceStub]":
    async with orchestrating(settings) as stub:
        yield stub


@asynccontextmanager
async def orchestrating(settings: OrchestratorSettings) -> "AsyncIterator[OrchestratorServiceStub]":
    async with (
        serving("orchestrator", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield OrchestratorServiceStub(channel)


@pytest.fixture
def acme(stub: OrchestratorServiceStub, keys: Keys) -> Client:
    return Client(stub, keys, tenant="acme")


@pytest.fixture
def globex(stub: OrchestratorServiceStub, keys: Keys) -> Client:
    return Client(stub, keys, tenant="globex")
