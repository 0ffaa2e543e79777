"""Two clients with something of everything, of whom one is deleted: a mesh of this folder's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.instance import Instance
from tests.deletion.traces import Traces
from tests.isolation.world import World, running_world
from tests.support.databases import DatabaseServer
from tests.support.leaks import Watch


@pytest.fixture(scope="session")
def instance(server_home: Path) -> Instance:
    return Instance(server_home / "deletion")


@pytest.fixture(scope="session")
def world(instance: Instance, database_server: DatabaseServer, watch: Watch) -> Iterator[World]:
    with (
        database_server.empty_database() as admin_url,
        running_world(instance.home, admin_url=admin_url, pooled=False) as world,
    ):
        for client in (world.aster, world.borealis):
            watch.keep(client.has.webhook_secret, *client.api_keys.values())
        yield world
        watch.look_into_database(world.admin_url)


@pytest.fixture
def traces(world: World) -> Traces:
    return Traces(world.admin_url, world.record.redis_url)
