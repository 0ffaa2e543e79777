"""One orchestrator's surroundings in the test's own loop, where it can be stopped at any point."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from cli.standins.loopback import listening
from cli.standins.servicedesk_plus import ServiceDesk, application
from services.orchestrator.settings import OrchestratorSettings
from tests.crash.clients import desk_with
from tests.crash.stops import Door
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import settings_for
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

SHORT_LEASE_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class World:
    database: TestDatabase
    peers: Peers
    desk: ServiceDesk
    door: Door
    settings: OrchestratorSettings
    """Of every orchestrator in it: each makes up an executor id of its own."""


@asynccontextmanager
async def world_around(
    database: TestDatabase, keys: Keys, *, tickets: int = 2, **settings: float
) -> AsyncIterator[World]:
    desk = desk_with(tickets, case="case")
    door = Door(application(desk))
    async with Peers(keys).running() as peers, listening(door) as base_url:
        peers.tenants.base_urls = {"acme": base_url, "globex": base_url}
        made = settings_for(database.url("orchestrator"), peers, keys)
        yield World(database, peers, desk, door, made.model_copy(update=settings))
