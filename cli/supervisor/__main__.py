"""The process behind `dossier up`: `python -m cli.supervisor HOME`. Its record is its face."""

import argparse
import asyncio
import sys
from pathlib import Path

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, Trouble
from cli.ports import Ports
from cli.supervisor.ground import AlreadySupervised, only_supervisor, require_free, stop_leftovers
from cli.supervisor.mesh import compose_mesh, first_record
from cli.supervisor.supervisor import Supervisor


def main(home: Path, ports: Ports, *, tls: bool) -> int:
    instance = Instance(home)
    try:
        with only_supervisor(instance):
            return _run(instance, first_record(ports, tls=tls))
    except AlreadySupervised as busy:
        return busy.exit_code


def _run(instance: Instance, record: InstanceRecord) -> int:
    stop_leftovers(instance.read())
    instance.write(record)
    try:
        record = _supervise(instance, record)
    except DossierError as trouble:
        last = instance.read() or record
        told = Trouble(message=str(trouble), hint=trouble.hint)
        instance.write(last.model_copy(update={"phase": Phase.FAILED, "step": "", "trouble": told}))
        return trouble.exit_code
    instance.write(record.model_copy(update={"phase": Phase.STOPPED}))
    return 0


def _supervise(instance: Instance, record: InstanceRecord) -> InstanceRecord:
    require_free(record.ports)
    mesh = compose_mesh(instance, record)
    supervisor = Supervisor(instance, mesh.plan, record=mesh.record)
    asyncio.run(supervisor.run())
    return supervisor.record


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(prog="python -m cli.supervisor")
    _parser.add_argument("home", type=Path)
    _parser.add_argument("--port", type=int)
    _parser.add_argument("--gateways", type=int, default=1)
    _parser.add_argument("--tls", action="store_true")
    _told = _parser.parse_args()
    sys.exit(main(_told.home, Ports.starting_at(_told.port, gateways=_told.gateways), tls=_told.tls))
