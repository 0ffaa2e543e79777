"""The orchestrator is killed at each boundary between a run's steps and inside of each; another finishes it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import pytest

from cli.standins.servicedesk_plus import Fault
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED
from dossier.tenants.v1.tenant_pb2 import ContextSource
from tests.crash.stops import AtTool, InPeer, Stop, commits_held
from tests.crash.world import SHORT_LEASE_SECONDS, World, world_around
from tests.orchestrator.process import process
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

GATHERED: Final = 1
WRITTEN: Final = 2
DELIVERED: Final = 3


@dataclass(frozen=True, slots=True)
class Boundary:
    stop: Callable[[World], AbstractAsyncContextManager[Stop]]
    gathers: int
    """How often each source is asked in all: once from the moment at which its answers are kept."""


def held(stop: Callable[[World], Stop]) -> Callable[[World], AbstractAsyncContextManager[Stop]]:
    return lambda world: nullcontext(stop(world))


def commit(place: int, *, lost: bool) -> Callable[[World], AbstractAsyncContextManager[Stop]]:
    return lambda world: commits_held(world.database.admin_url, place, lost=lost)


@asynccontextmanager
async def reply_lost(world: World) -> AsyncIterator[Stop]:
    """The note is posted, the connection cut before the reply, and the orchestrator about to look for it."""
    world.desk.faults.inject(Fault(kind="lost_reply", method="POST", path="/notes"))
    yield AtTool(world.door, "POST", "/notes", where="way out")


BOUNDARIES: Final = {
    "before it is gathered": Boundary(held(lambda world: InPeer(world.peers.tenants.does)), 1),
    "the ticket is read again": Boundary(
        held(lambda world: AtTool(world.door, "GET", "/requests/1", where="way out")), 1
    ),
    "history is asked": Boundary(held(lambda world: InPeer(world.peers.history.does)), 2),
    "knowledge is asked": Boundary(held(lambda world: InPeer(world.peers.knowledge.does)), 2),
    "the network is asked": Boundary(held(lambda world: InPeer(world.peers.network.does)), 2),
    "a source of the tenant's own is asked": Boundary(
        held(lambda world: InPeer(world.peers.monitoring.does)), 2
    ),
    "gathered, and the commit is lost": Boundary(commit(GATHERED, lost=True), 2),
    "gathered, and committed without its knowing": Boundary(commit(GATHERED, lost=False), 1),
    "the brief is asked for": Boundary(held(lambda world: InPeer(world.peers.synthesis.does)), 1),
    "written, and the commit is lost": Boundary(commit(WRITTEN, lost=True), 1),
    "written, and committed without its knowing": Boundary(commit(WRITTEN, lost=False), 1),
    "before it is delivered": Boundary(held(lambda world: InPeer(world.peers.tenants.does, call=2)), 1),
    "the note is on its way and never lands": Boundary(
        held(lambda world: AtTool(world.door, "POST", "/notes", where="way in, lost")), 1
    ),
    "the note is on its way and lands afterwards": Boundary(
        held(lambda world: AtTool(world.door, "POST", "/notes", where="way in, lands")), 1
    ),
    "the note is posted and the reply on its way": Boundary(
        held(lambda world: AtTool(world.door, "POST", "/notes", where="way out")), 1
    ),
    "the note is posted and the reply is lost": Boundary(reply_lost, 1),
    "delivered, and the commit is lost": Boundary(commit(DELIVERED, lost=True), 1),
    "delivered, and committed without its knowing": Boundary(commit(DELIVERED, lost=False), 1),
}


@pytest.fixture
async def world(database: TestDatabase, keys: Keys) -> AsyncIterator[World]:
    async with world_around(database, keys, lease_seconds=SHORT_LEASE_SECONDS) as world:
        source = ContextSource(name="monitoring", target=world.peers.target("source:monitoring"))
        world.peers.tenants.sources = [source]
        yield world


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
async def test_killed_at_a_boundary_another_finishes_it_with_one_note_and_one_purchase(
    boundary: Boundary, world: World, keys: Keys
) -> None:
    async with boundary.stop(world) as stop:
        async with process(world.settings, keys) as first:
            enhancement_id = await first.acme.submit_one("1")
            await stop.reached()
            await first.kill()
        await stop.go_on()

        async with process(world.settings, keys) as second:
            ended = await second.acme.ended(enhancement_id)
            # Whatever else it would do for the first, it does before the second has ended.
            await second.acme.ended(await second.acme.submit_one("2"))

    assert ended.state == ENHANCEMENT_STATE_SUCCEEDED, ended
    [note] = world.desk.requests["1"].notes
    assert ended.note.id == note.id
    assert enhancement_id in note.description
    assert world.peers.synthesis.bought[f"{enhancement_id}:synthesize"] == 1
    asked = [call for call in world.peers.history.does.calls]
    assert len(asked) - 1 == boundary.gathers


async def test_killed_after_its_end_nothing_of_it_is_done_again(world: World, keys: Keys) -> None:
    async with process(world.settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await first.acme.ended(enhancement_id)
        await first.kill()

    async with process(world.settings, keys) as second:
        await second.acme.ended(await second.acme.submit_one("2"))
        assert await second.acme.get(enhancement_id) == await second.acme.get(enhancement_id)

    assert len(world.desk.requests["1"].notes) == 1
    assert world.desk.calls.count("POST", "/requests/1/notes") == 1
    assert world.peers.synthesis.bought[f"{enhancement_id}:synthesize"] == 1
    assert len(world.peers.history.does.calls) == 2
