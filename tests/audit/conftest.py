import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.audit.world import World
from tests.support.databases import TestDatabase
from tests.support.keys import Keys


@pytest.fixture
def port() -> int:
    """Where tenants is, whenever it is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
async def admin(database: TestDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
def world(
    database: TestDatabase, keys: Keys, port: int, admin: "asyncpg.Connection[asyncpg.Record]"
) -> World:
    return World(database, keys, port, admin)
