"""Points at which a run is held, so that its orchestrator can be killed exactly there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal, Protocol

import asyncpg
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.standins.loopback import cut
from tests.orchestrator.client import SECONDS
from tests.orchestrator.peers import Behaviour

_GATE: Final = 4711
_BLOCKED: Final = """
select pid from pg_locks where locktype = 'advisory' and classid = $1 and objid = $2 and not granted
"""


Where = Literal["way in, lands", "way in, lost", "way out"]


class Stop(Protocol):
    async def reached(self) -> None:
        """Wait until the run is there."""
        ...

    async def go_on(self) -> None:
        """Let what was held take its course."""
        ...


class AtOnce:
    """Nowhere: what has just been accepted may have been taken up or not."""

    async def reached(self) -> None:
        return

    async def go_on(self) -> None:
        return


class InPeer:
    """A service has been asked and has not answered."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._hold = behaviour.hold = asyncio.Event()

    async def reached(self) -> None:
        await until(lambda: bool(self._behaviour.calls))

    async def go_on(self) -> None:
        self._hold.set()


class Door:
    """Stands before the ticketing tool, and is open until it is told otherwise."""

    def __init__(self, tool: ASGIApp) -> None:
        self._tool = tool
        self.held: AtTool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = self.held
        if held is None or not held.is_it(scope):
            await self._tool(scope, receive, send)
            return
        self.held = None

        async def send_later(message: Message) -> None:
            if not held.arrived.is_set():
                held.arrived.set()
                await held.released.wait()
            await send(message)

        match held.where:
            case "way in, lands":
                # All of it is here, or its sender's end would be noticed first.
                body = await Request(scope, receive).body()
                held.arrived.set()
                await held.released.wait()
                await self._tool(scope, partial(_whole, body), send)
                held.done.set()
            case "way in, lost":
                held.arrived.set()
                await held.released.wait()
                await cut(scope, receive)
            case "way out":
                await self._tool(scope, receive, send_later)
                # Where the tool itself has lost the reply, nothing came by.
                held.arrived.set()


async def _whole(body: bytes) -> Message:
    return {"type": "http.request", "body": body}


class AtTool:
    """The next such request is at the ticketing tool's door, or its reply is."""

    def __init__(self, door: Door, method: str, path: str, *, where: Where) -> None:
        self.where: Final = where
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()
        self.done = asyncio.Event()
        self._method = method
        self._path = path
        door.held = self

    def is_it(self, scope: Scope) -> bool:
        return scope["method"] == self._method and self._path in scope["path"]

    async def reached(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self.arrived.wait()

    async def go_on(self) -> None:
        self.released.set()
        if self.where == "way in, lands":
            await self.done.wait()


class InCommit:
    """A step's commit is at PostgreSQL, which goes through with it or, `lost`, does not; nobody is told."""

    def __init__(self, admin: asyncpg.Connection, place: int, *, lost: bool) -> None:
        self._admin = admin
        self._place = place
        self._lost = lost

    async def reached(self) -> None:
        async with asyncio.timeout(SECONDS):
            while not await self._blocked():  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.01)

    async def go_on(self) -> None:
        if self._lost:
            for pid in await self._blocked():
                await self._admin.execute("select pg_terminate_backend($1, 5000)", pid)
        await self._admin.execute("select pg_advisory_unlock($1, $2)", _GATE, self._place)

    async def _blocked(self) -> list[int]:
        return [row["pid"] for row in await self._admin.fetch(_BLOCKED, _GATE, self._place)]


@asynccontextmanager
async def commits_held(admin_url: str, place: int, *, lost: bool) -> AsyncIterator[InCommit]:
    """Hold the commit of a workflow's step, counted from 1, by a trigger that fires as it begins."""
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(
            f"""
            create function dbos.wait_at_the_gate() returns trigger language plpgsql as $$
            begin
                perform pg_advisory_xact_lock_shared({_GATE}, new.function_id);
                return null;
            end
            $$;
            create constraint trigger gate after insert on dbos.operation_outputs
                deferrable initially deferred for each row execute function dbos.wait_at_the_gate();
            """
        )
        await admin.execute("select pg_advisory_lock($1, $2)", _GATE, place)
        yield InCommit(admin, place, lost=lost)
        await admin.execute("drop function dbos.wait_at_the_gate cascade")
    finally:
        await admin.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.01)
