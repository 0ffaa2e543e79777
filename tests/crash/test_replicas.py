"""Several orchestrators on one database: who is added takes a share, who is gone leaves nothing undone."""

import asyncio
from collections.abc import Sequence
from typing import Final

from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED
from services.orchestrator.settings import OrchestratorSettings
from tests.crash.stops import until
from tests.crash.world import World, world_of
from tests.orchestrator.process import OrchestratorProcess
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

TAKEN_OVER_SECONDS: Final = 15.0
"""What is promised of the runs of a replica that died, beside their own time."""
NEVER_SECONDS: Final = 60.0
"""A lease that does not run out during a test."""


async def submitted(orchestrator: OrchestratorProcess, count: int) -> list[str]:
    return [await orchestrator.acme.submit_one(str(number)) for number in range(1, count + 1)]


async def all_ended(orchestrator: OrchestratorProcess, ids: Sequence[str]) -> None:
    ended = [await orchestrator.acme.ended(each) for each in ids]
    assert {each.state for each in ended} == {ENHANCEMENT_STATE_SUCCEEDED}


def each_noted_and_bought_once(ids: Sequence[str], world: World) -> None:
    """As the stand-ins have it; tickets are numbered from 1."""
    notes = [len(world.desk.requests[str(number)].notes) for number in range(1, len(ids) + 1)]
    assert notes == [1] * len(ids)
    assert world.peers.synthesis.bought_for() == dict.fromkeys(ids, 1)


async def asked_for_briefs(world: World, calls: int) -> None:
    await until(lambda: len(world.peers.synthesis.does.calls) == calls)


async def test_one_that_is_added_under_load_takes_its_share(database: TestDatabase, keys: Keys) -> None:
    async with world_of(database, keys, tickets=60, worker_concurrency=3, tenant_concurrency=100) as world:
        does = world.peers.synthesis.does
        does.hold, does.seconds = asyncio.Event(), 0.1
        async with world.orchestrator() as first:
            ids = await submitted(first, 60)
            await asked_for_briefs(world, 3)
            async with world.orchestrator() as second:
                await asked_for_briefs(world, 6)
                does.hold.set()
                await all_ended(second, ids)

                assert await first.finished() + await second.finished() == 60
                assert min(await first.finished(), await second.finished()) >= 15
        each_noted_and_bought_once(ids, world)


async def test_one_that_is_stopped_hands_its_runs_over_at_once(database: TestDatabase, keys: Keys) -> None:
    async with world_of(database, keys, tickets=6, lease_seconds=NEVER_SECONDS) as world:
        does = world.peers.synthesis.does
        does.hold = asyncio.Event()
        async with world.orchestrator() as first:
            ids = await submitted(first, 4)
            await asked_for_briefs(world, 4)
            async with world.orchestrator() as second:
                assert await first.terminate() == 0
                await asked_for_briefs(world, 8)
                does.hold.set()
                await all_ended(second, ids)
        each_noted_and_bought_once(ids, world)


async def test_the_runs_of_one_that_is_killed_go_on_elsewhere_within_the_promised_time(
    database: TestDatabase, keys: Keys
) -> None:
    as_shipped = OrchestratorSettings.model_fields["lease_seconds"].default
    async with world_of(database, keys, tickets=6, lease_seconds=as_shipped) as world:
        does = world.peers.synthesis.does
        does.hold = asyncio.Event()
        async with world.orchestrator() as first:
            ids = await submitted(first, 4)
            await asked_for_briefs(world, 4)
            async with world.orchestrator() as second:
                await first.kill()
                async with asyncio.timeout(TAKEN_OVER_SECONDS):
                    await asked_for_briefs(world, 8)
                does.hold.set()
                await all_ended(second, ids)
        each_noted_and_bought_once(ids, world)


async def test_one_that_stalled_beyond_its_lease_and_wakes_up_does_nothing_a_second_time(
    database: TestDatabase, keys: Keys
) -> None:
    async with world_of(database, keys, tickets=6) as world:
        does = world.peers.synthesis.does
        does.hold = asyncio.Event()
        async with world.orchestrator() as first:
            ids = await submitted(first, 4)
            await asked_for_briefs(world, 4)
            async with world.orchestrator() as second:
                first.suspend()
                await asked_for_briefs(world, 8)
                does.hold.set()
                await all_ended(second, ids)

                first.resume()
                ids.append(await first.acme.submit_one("5"))
                await all_ended(first, ids)
        each_noted_and_bought_once(ids, world)
