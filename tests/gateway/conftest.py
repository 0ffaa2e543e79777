"""The gateway as it runs: real HTTP in front, real gRPC behind."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.world import World, running_world
from tests.support.keys import Keys


@pytest.fixture
async def world(keys: Keys) -> AsyncIterator[World]:
    async with running_world(keys) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_world(keys: Keys) -> AsyncIterator[World]:
    """One for all tests of a module that leave it as they found it."""
    async with running_world(keys) as world:
        yield world
