"""Orchestrators' surroundings in the test's own loop, where a run can be stopped at any point."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from cli.standins.loopback import listening
from cli.standins.servicedesk_plus import ServiceDesk, application
from dossier.tenants.v1.tenant_pb2 import ContextSource
from services.orchestrator.settings import OrchestratorSettings
from tests.crash.clients import desk_with
from tests.crash.stops import Door
from tests.orchestrator.peers import Behaviour, Peers
from tests.orchestrator.process import OrchestratorProcess, process
from tests.orchestrator.world import settings_for
from tests.support.databases import TestDatabase
from tests.support.keys import Keys


@dataclass(frozen=True, slots=True)
class World:
    database: TestDatabase
    keys: Keys
    peers: Peers
    desk: ServiceDesk
    door: Door
    settings: OrchestratorSettings
    """Of every orchestrator in it: each makes up an executor id of its own."""

    def orchestrator(self) -> AbstractAsyncContextManager[OrchestratorProcess]:
        return process(self.settings, self.keys)

    def forget(self) -> None:
        """Let nothing be held or remembered of what was asked before."""
        peers = self.peers
        for peer in (peers.history, peers.knowledge, peers.network, peers.synthesis, peers.tenants):
            _forget(peer.does)
        _forget(peers.monitoring.does)
        self.door.held = None
        self.desk.faults.clear()


def _forget(behaviour: Behaviour) -> None:
    if behaviour.hold is not None:
        behaviour.hold.set()
    behaviour.calls.clear()
    behaviour.hold = None
    behaviour.hold_from = 1


@asynccontextmanager
async def world_of(
    database: TestDatabase, keys: Keys, *, tickets: int, **settings: float
) -> AsyncIterator[World]:
    desk = desk_with(tickets, case="case")
    door = Door(application(desk))
    async with Peers(keys).running() as peers, listening(door) as base_url:
        peers.tenants.base_urls = {"acme": base_url, "globex": base_url}
        peers.tenants.sources = [ContextSource(name="monitoring", target=peers.target("source:monitoring"))]
        made = settings_for(database.url("orchestrator"), peers, keys).model_copy(update=settings)
        yield World(database, keys, peers, desk, door, made)
