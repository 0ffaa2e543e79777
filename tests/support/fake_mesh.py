"""A supervisor of fake services, as a process to send signals to.

`fake_mesh.py HOME 'history:ready:8001,tenants:ready:8002|gateway:ready:8003'`: `|` separates groups.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, ProcessMark, Trouble
from cli.program import Program
from cli.supervisor.child import Policy
from cli.supervisor.preparation import Preparation
from cli.supervisor.probe import http_probe
from cli.supervisor.supervisor import Managed, Plan, Supervisor

_FAKE = Path(__file__).with_name("fake_service.py")
POLICY = Policy(probe_seconds=0.05, ready_probe_seconds=0.1, first_backoff_seconds=0.05, grace_seconds=1.0)


def managed(name: str, mode: str, port: int, folder: Path) -> Managed:
    argv = (sys.executable, "-S", str(_FAKE), name, str(port), str(folder), mode)
    return Managed(Program(name, argv, {"PATH": os.defpath}), http_probe(port))


class Prepared:
    async def make_keys(self) -> None:
        return

    async def migrate(self, progress: Callable[[str], None]) -> None:
        progress("preparing")


@asynccontextmanager
async def prepare() -> AsyncIterator[Preparation]:
    yield Prepared()


async def main(home: Path, specification: str) -> int:
    instance = Instance(home)
    instance.logs.mkdir(exist_ok=True)
    groups = []
    for group in specification.split("|"):
        members = (member.split(":") for member in group.split(","))
        groups.append([managed(name, mode, int(port), home) for name, mode, port in members])
    record = InstanceRecord(
        phase=Phase.STARTING,
        supervisor=ProcessMark(pid=os.getpid(), created=psutil.Process().create_time()),
        gateway_port=0,
        public_url="http://localhost:0",
        first_service_port=0,
        database="embedded",
        redis="embedded",
    )

    supervisor = Supervisor(instance, Plan((), lambda: None, prepare, groups), record=record, policy=POLICY)
    try:
        await supervisor.run()
    except DossierError as trouble:
        told = Trouble(message=str(trouble), hint=trouble.hint)
        instance.write(supervisor.record.model_copy(update={"phase": Phase.FAILED, "trouble": told}))
        return 1
    instance.write(supervisor.record.model_copy(update={"phase": Phase.STOPPED}))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2])))
