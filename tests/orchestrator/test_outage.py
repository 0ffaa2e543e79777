"""PostgreSQL goes away and comes back."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import pytest

from cli.embedded.postgres import EmbeddedPostgres
from cli.migrate.run import migrate
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.errors import error_info
from services.runtime.serve import RunningService
from tests.orchestrator.client import SECONDS
from tests.orchestrator.peers import Peers
from tests.orchestrator.process import process
from tests.orchestrator.world import orchestrating, settings_for
from tests.support.children import running
from tests.support.keys import Keys


class Postgres:
    """A server of this test's own, to be stopped."""

    def __init__(self, home: Path) -> None:
        home.chmod(0o711)
        (home / "run").mkdir(mode=0o700)
        self._log = home / "postgres.log"
        self._server = EmbeddedPostgres(home / "data", home / "run", durable=False)
        self._server.prepare()
        self._up = ExitStack()

    @property
    def url(self) -> str:
        return self._server.url(user="dossier_orchestrator", database="outage")

    async def start(self) -> None:
        await asyncio.to_thread(
            self._up.enter_context, running(self._server.program(), ready=self._server.ready, log=self._log)
        )

    async def stop(self) -> None:
        await asyncio.to_thread(self._up.close)

    async def migrate(self) -> None:
        await migrate(self._server.url(database="outage"))


@pytest.fixture
async def postgres() -> AsyncIterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="dossier-outage-") as folder:
        server = await asyncio.to_thread(Postgres, Path(folder))
        await server.start()
        await server.migrate()
        yield server
        await server.stop()


@pytest.fixture
def outage_settings(postgres: Postgres, peers: Peers, keys: Keys) -> OrchestratorSettings:
    return settings_for(postgres.url, peers, keys)


async def failing(service: RunningService, *names: str) -> None:
    """Wait until the probe says that just these checks fail."""
    async with asyncio.timeout(SECONDS), httpx.AsyncClient(trust_env=False) as http:
        while True:
            response = await http.get(f"{service.metrics_url}/readyz")
            if set(response.json()["failing"]) == set(names):
                assert response.status_code == (503 if names else 200)
                return
            await asyncio.sleep(0.05)


async def test_it_starts_without_postgresql_says_so_and_begins_when_it_comes(
    postgres: Postgres, outage_settings: OrchestratorSettings, keys: Keys
) -> None:
    await postgres.stop()
    async with orchestrating(outage_settings, keys) as orchestrator:
        service, acme = orchestrator.service, orchestrator.client("acme")
        await failing(service, "postgresql", "engine")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await acme.submit_one("1")
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert (info := error_info(refused.value)) is not None
        assert (info.reason, info.metadata["dependency"]) == ("DEPENDENCY_UNAVAILABLE", "postgresql")

        await postgres.start()

        await failing(service)
        ended = await acme.ended(await acme.submit_one("1"))
        assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED


async def test_a_run_outlives_an_outage_of_postgresql(
    postgres: Postgres, outage_settings: OrchestratorSettings, keys: Keys, peers: Peers
) -> None:
    async with orchestrating(outage_settings, keys) as orchestrator:
        service, acme = orchestrator.service, orchestrator.client("acme")
        peers.synthesis.does.hold = asyncio.Event()
        enhancement_id = await acme.submit_one("1")
        await acme.reached(enhancement_id, "synthesize")
        await failing(service)

        await postgres.stop()
        peers.synthesis.does.hold.set()
        await failing(service, "postgresql")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await acme.submit_one("2")
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        await postgres.start()

        await failing(service)
        ended = await acme.ended(enhancement_id)
        assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
        assert list(peers.synthesis.bought.values()) == [1]


async def test_without_postgresql_it_drains_all_the_same(
    postgres: Postgres, outage_settings: OrchestratorSettings, keys: Keys, peers: Peers
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    async with process(outage_settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await first.acme.reached(enhancement_id, "synthesize")
        await postgres.stop()
        assert await first.terminate() == 0
    peers.synthesis.does.hold.set()
    await postgres.start()

    async with process(outage_settings, keys) as second:
        ended = await second.acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
