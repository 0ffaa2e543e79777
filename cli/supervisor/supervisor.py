"""The processes of one instance as a whole: their order, their record, the signals that steer them."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, State
from cli.program import Program
from cli.supervisor.child import Child, Policy
from cli.supervisor.preparation import Prepare
from cli.supervisor.probe import Probe

_SERVERS_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Managed:
    program: Program
    probe: Probe
    needs_migrations: bool = False
    """Starts only once the database is up to date; the others wait for it as they do in a cluster."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, in the order of starting; stopping goes backwards."""

    servers: Sequence[Managed]
    """Embedded PostgreSQL and Redis: ready before anything is migrated."""
    create: Callable[[], None]
    """Creates what the servers run on, if it is not there. Takes seconds, so it runs in a thread."""
    prepare: Prepare
    """Keys, before any process starts, and migrations, once the servers are ready."""
    groups: Sequence[Sequence[Managed]]
    """Start together; stop group by group, the last first."""


class Supervisor:
    def __init__(
        self, instance: Instance, plan: Plan, *, record: InstanceRecord, policy: Policy | None = None
    ) -> None:
        self._instance = instance
        self._plan = plan
        self._record = record
        self._policy = policy or Policy()
        self._servers = [self._child(managed) for managed in plan.servers]
        self._groups = [[self._child(managed) for managed in group] for group in plan.groups]
        self._stopping = asyncio.Event()
        self._moved = asyncio.Event()

    def _child(self, managed: Managed) -> Child:
        return Child(
            managed.program,
            probe=managed.probe,
            log=self._instance.log(managed.program.name),
            changed=self._publish,
            policy=self._policy,
        )

    @property
    def _children(self) -> list[Child]:
        return [*self._servers, *(child for group in self._groups for child in group)]

    @property
    def _early(self) -> list[Child]:
        return [
            child
            for group, managed in zip(self._groups, self._plan.groups, strict=True)
            for child, entry in zip(group, managed, strict=True)
            if not entry.needs_migrations
        ]

    @property
    def record(self) -> InstanceRecord:
        return self._record

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. SIGHUP starts what has stopped; a second SIGTERM kills."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._start_stopped)
        tending = [asyncio.create_task(child.tend()) for child in self._children]
        try:
            starting = asyncio.create_task(self._start())
            await self._unless_stopped(starting)
            await self._stopping.wait()
        finally:
            self._set(phase=Phase.STOPPING, step="")
            await self._stop()
            for task in tending:
                task.cancel()

    async def _unless_stopped(self, starting: asyncio.Task[None]) -> None:
        asked = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not starting.done():
            starting.cancel()
            return
        await starting

    async def _start(self) -> None:
        """Start everything, in parallel where the order allows: what takes long is the processes' imports."""
        starting_servers = asyncio.create_task(self._start_servers())
        try:
            async with self._plan.prepare() as preparation:
                await preparation.make_keys()
                for child in self._early:
                    child.start()
                await starting_servers
                await preparation.migrate(lambda step: self._set(step=step))
        finally:
            starting_servers.cancel()
        self._set(step="waiting for the processes to be ready")
        self._start_stopped()
        await self._until_ready(self._children)
        self._set(phase=Phase.RUNNING, step="")

    async def _start_servers(self) -> None:
        self._set(step="starting the servers")
        await asyncio.to_thread(self._plan.create)
        for server in self._servers:
            server.start()
        try:
            async with asyncio.timeout(_SERVERS_READY_SECONDS):
                await self._until_ready(self._servers)
        except TimeoutError as late:
            raise DossierError(
                f"{self._first_unready()} did not become ready in {_SERVERS_READY_SECONDS:.0f} s.",
                hint=f"The logs in {self._instance.logs} say why.",
            ) from late

    async def _until_ready(self, children: Sequence[Child]) -> None:
        while not all(child.state is State.READY for child in children):
            for child in children:
                if child.state is State.FAILED:
                    raise DossierError(
                        f"{child.name} cannot start: {child.record().detail}",
                        hint=f"Its log: {child.record().log}",
                    )
            self._moved.clear()
            await self._moved.wait()

    def _first_unready(self) -> str:
        return next(child.name for child in self._servers if child.state is not State.READY)

    async def _stop(self) -> None:
        for group in reversed([*([server] for server in self._servers), *self._groups]):
            await asyncio.gather(*(child.stop() for child in group))

    def _ask_to_stop(self) -> None:
        if self._stopping.is_set():
            for child in self._children:
                child.kill()
        self._stopping.set()

    def _start_stopped(self) -> None:
        if not self._stopping.is_set():
            for child in self._children:
                child.start()

    def _set(self, *, step: str, phase: Phase | None = None) -> None:
        self._record = self._record.model_copy(update={"step": step, "phase": phase or self._record.phase})
        self._publish()

    def _publish(self) -> None:
        self._moved.set()
        processes = tuple(child.record() for child in self._children)
        self._record = self._record.model_copy(update={"processes": processes})
        self._instance.write(self._record)
