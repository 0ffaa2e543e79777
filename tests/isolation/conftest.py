"""Everything here runs twice: on PostgreSQL itself, and through PgBouncer in transaction mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.isolation.world import World, running_world
from tests.support.databases import DatabaseServer
from tests.support.leaks import Watch


@pytest.fixture(scope="session", params=["direct", "pgbouncer"])
def world(
    request: pytest.FixtureRequest, server_home: Path, database_server: DatabaseServer, watch: Watch
) -> Iterator[World]:
    with (
        database_server.empty_database() as admin_url,
        running_world(
            server_home / f"isolation-{request.param}",
            admin_url=admin_url,
            pooled=request.param == "pgbouncer",
        ) as world,
    ):
        for client in (world.aster, world.borealis):
            watch.keep(client.has.webhook_secret, *client.api_keys.values())
        yield world
        watch.look("\n".join(world.redis_commands), "commands to Redis")
        watch.look_into_database(world.admin_url)
