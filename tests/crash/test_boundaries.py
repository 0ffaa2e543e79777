"""The orchestrator is killed at each boundary between a run's steps and inside each; another finishes it."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from cli.standins.servicedesk_plus import Fault
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED
from tests.crash.stops import AtOnce, AtTool, InPeer, Stop, Where, commits_held
from tests.crash.world import World, world_of
from tests.orchestrator.peers import Behaviour, Peers
from tests.orchestrator.process import OrchestratorProcess
from tests.support.databases import DatabaseServer, TestDatabase
from tests.support.keys import Keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

GATHERED: Final = 1
WRITTEN: Final = 2
DELIVERED: Final = 3


@dataclass(frozen=True, slots=True)
class Boundary:
    stop: Callable[[World, str], AbstractAsyncContextManager[Stop]]
    """Of the run of this ticket."""
    most_gathers: int
    """How often each source is asked in all: once from the moment at which its answers are kept."""


Stopping = Callable[[World, str], AbstractAsyncContextManager[Stop]]


def asking(peer: Callable[[Peers], Behaviour]) -> Stopping:
    return lambda world, _: nullcontext(InPeer(peer(world.peers)))


def at_tool(method: str, path: str, *, where: Where) -> Stopping:
    return lambda world, ticket: nullcontext(
        AtTool(world.door, method, f"/requests/{ticket}{path}", where=where)
    )


def commit(place: int, *, lost: bool) -> Stopping:
    return lambda world, _: commits_held(world.database.admin_url, place, lost=lost)


@asynccontextmanager
async def reply_lost(world: World, ticket: str) -> AsyncIterator[Stop]:
    """The note is posted, the connection cut before the reply, and the orchestrator about to look for it."""
    world.desk.faults.inject(Fault(kind="lost_reply", method="POST", path="/notes"))
    yield AtTool(world.door, "POST", f"/requests/{ticket}/notes", where="way out")


BOUNDARIES: Final = {
    "it is accepted": Boundary(lambda *_: nullcontext(AtOnce()), 1),
    "the ticket is asked for": Boundary(at_tool("GET", "", where="way in, lost"), 1),
    "the ticket is read": Boundary(at_tool("GET", "", where="way out"), 1),
    "history is asked": Boundary(asking(lambda peers: peers.history.does), 2),
    "knowledge is asked": Boundary(asking(lambda peers: peers.knowledge.does), 2),
    "the network is asked": Boundary(asking(lambda peers: peers.network.does), 2),
    "a source of the tenant's own is asked": Boundary(asking(lambda peers: peers.monitoring.does), 2),
    "gathered, and the commit is lost": Boundary(commit(GATHERED, lost=True), 2),
    "gathered, and committed without its knowing": Boundary(commit(GATHERED, lost=False), 1),
    "the brief is asked for": Boundary(asking(lambda peers: peers.synthesis.does), 1),
    "written, and the commit is lost": Boundary(commit(WRITTEN, lost=True), 1),
    "written, and committed without its knowing": Boundary(commit(WRITTEN, lost=False), 1),
    "the note is on its way and never lands": Boundary(at_tool("POST", "/notes", where="way in, lost"), 1),
    "the note is on its way and lands afterwards": Boundary(
        at_tool("POST", "/notes", where="way in, lands"), 1
    ),
    "the note is posted and the reply on its way": Boundary(at_tool("POST", "/notes", where="way out"), 1),
    "the note is posted and the reply is lost": Boundary(reply_lost, 1),
    "delivered, and the commit is lost": Boundary(commit(DELIVERED, lost=True), 1),
    "delivered, and committed without its knowing": Boundary(commit(DELIVERED, lost=False), 1),
}


class Line:
    """One orchestrator at a time: who finishes what another was killed at is the next to be killed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tickets = itertools.count(1)
        self._closing = AsyncExitStack()
        self._alive: OrchestratorProcess | None = None

    async def alive(self) -> OrchestratorProcess:
        if self._alive is None:
            self._alive = await self._closing.enter_async_context(self._world.orchestrator())
        return self._alive

    async def kill(self) -> None:
        if self._alive is not None:
            await self._alive.kill()
        self._alive = None
        await self._closing.aclose()

    def ticket(self) -> str:
        return str(next(self._tickets))


@pytest.fixture(scope="module")
def shared_database(database_server: DatabaseServer) -> Iterator[TestDatabase]:
    with database_server.database() as database:
        yield database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_database: TestDatabase, keys: Keys) -> AsyncIterator[tuple[World, Line]]:
    async with world_of(shared_database, keys, tickets=2 * (len(BOUNDARIES) + 1)) as world:
        line = Line(world)
        yield world, line
        await line.kill()


@pytest.fixture
def world(shared: tuple[World, Line]) -> World:
    shared[0].forget()
    return shared[0]


@pytest_asyncio.fixture(loop_scope="module")
async def line(shared: tuple[World, Line]) -> AsyncIterator[Line]:
    """Whoever is left after a test that failed is not the next one's."""
    survived = False
    try:
        yield shared[1]
        survived = True
    finally:
        if not survived:
            await shared[1].kill()


@pytest.mark.parametrize("boundary", BOUNDARIES.values(), ids=BOUNDARIES)
async def test_killed_at_a_boundary_another_finishes_it_with_one_note_and_one_purchase(
    boundary: Boundary, world: World, line: Line
) -> None:
    ticket = line.ticket()
    first = await line.alive()
    async with boundary.stop(world, ticket) as stop:
        enhancement_id = await first.acme.submit_one(ticket)
        await stop.reached()
        await line.kill()
        await stop.go_on()

        second = await line.alive()
        ended = await second.acme.ended(enhancement_id)
        asked = len(world.peers.history.does.calls)
        # Whatever else it would do for the first ticket, it does before another has ended.
        await second.acme.ended(await second.acme.submit_one(line.ticket()))

    assert ended.state == ENHANCEMENT_STATE_SUCCEEDED, ended
    [note] = world.desk.requests[ticket].notes
    assert ended.note.id == note.id
    assert enhancement_id in note.description
    assert world.peers.synthesis.bought_for()[enhancement_id] == 1
    assert 1 <= asked <= boundary.most_gathers


async def test_killed_after_its_end_nothing_of_it_is_done_again(world: World, line: Line) -> None:
    ticket = line.ticket()
    first = await line.alive()
    enhancement_id = await first.acme.submit_one(ticket)
    before = await first.acme.ended(enhancement_id)
    await line.kill()

    second = await line.alive()
    await second.acme.ended(await second.acme.submit_one(line.ticket()))

    assert await second.acme.get(enhancement_id) == before
    assert len(world.desk.requests[ticket].notes) == 1
    assert world.desk.calls.count("POST", f"/requests/{ticket}/notes") == 1
    assert len(world.peers.history.does.calls) == len(world.peers.synthesis.does.calls) == 2
