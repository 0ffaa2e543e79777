"""The orchestrator as it runs: real gRPC, real PostgreSQL, real HTTP at the ticketing tool."""

from collections.abc import AsyncIterator

import pytest

from cli.standins.servicedesk_plus import NewRequest, ServiceDesk
from cli.standins.servicedesk_plus import running as tool_running
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.backlogs import Backlog
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import Orchestrator, orchestrating, settings_for
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
    return settings_for(database.url("orchestrator"), peers, keys)


@pytest.fixture
async def orchestrator(settings: OrchestratorSettings, keys: Keys) -> AsyncIterator[Orchestrator]:
    async with orchestrating(settings, keys) as running:
        yield running


@pytest.fixture
async def backlog(database: TestDatabase) -> AsyncIterator[Backlog]:
    """Accepted work that nobody takes up."""
    backlog = Backlog(database)
    yield backlog
    await backlog.database.close()


@pytest.fixture
def acme(orchestrator: Orchestrator) -> Client:
    return orchestrator.client("acme")


@pytest.fixture
def globex(orchestrator: Orchestrator) -> Client:
    return orchestrator.client("globex")
