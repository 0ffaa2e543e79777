"""The gateway as it runs: real HTTP in front, real gRPC behind."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.world import World, running_world
from tests.support.keys import Keys


@pytest.fixture
async def world(keys: Keys) -> AsyncIterator[World]:
    async with running_world(keys) as world:
        yield world
