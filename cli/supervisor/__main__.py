"""The process behind `dossier up`: `python -m cli.supervisor HOME [PORT]`. It shows nothing; it keeps the record."""

import asyncio
import sys
from pathlib import Path

from cli.errors import DossierError
from cli.instance import Instance
from cli.ports import Ports
from cli.supervisor.ground import ensure_keys, only_supervisor, require_free, stop_leftovers
from cli.supervisor.mesh import compose_mesh
from cli.supervisor.supervisor import Supervisor


def main(home: Path, port: int | None) -> int:
    instance = Instance(home)
    try:
        with only_supervisor(instance):
            return _supervise(instance, Ports.starting_at(port))
    except DossierError as trouble:
        sys.stderr.write(f"{trouble}\n{trouble.hint}\n")
        return trouble.exit_code


def _supervise(instance: Instance, ports: Ports) -> int:
    stop_leftovers(instance.read())
    require_free(ports)
    instance.logs.mkdir(exist_ok=True)
    ensure_keys(instance)
    mesh = compose_mesh(instance, ports=ports)
    return asyncio.run(_run(Supervisor(instance, mesh.plan, record=mesh.record)))


async def _run(supervisor: Supervisor) -> int:
    try:
        await supervisor.run()
    except DossierError as trouble:
        supervisor.close(trouble)
        return trouble.exit_code
    supervisor.close(None)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
