"""`up`, `down`, `status`: an instance as a whole."""

import os
import signal
from importlib.metadata import version
from typing import Annotated

import psutil
import typer
from rich.console import Group
from rich.text import Text

from cli.errors import DossierError
from cli.follow import all_ready, follow, unready
from cli.instance import Instance, InstanceRecord, Phase
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.supervision import drain, start_supervisor
from cli.supervisor.ground import only_supervisor, stop_leftovers
from cli.table import memory_in_all, processes_json, processes_table

_READY_SECONDS = 90.0
_DRAIN_SECONDS = 120.0

PortOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64000,
        help="The gateway's port; services take the six after it. Without it 8080 and 50051 to 50056.",
    ),
]

GatewaysOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=16,
        envvar="DOSSIER_GATEWAYS",
        help="How many gateways share the port, one a core at most; each takes some 1,700 webhooks a second."
        " Without it one.",
    ),
]


TlsOption = Annotated[
    bool | None,
    typer.Option(
        "--tls",
        help="Mutual TLS between the services, with a CA and certificates made for this start.",
    ),
]


def up(
    *,
    data_dir: DataDirOption = None,
    port: PortOption = None,
    gateways: GatewaysOption = None,
    tls: TlsOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start everything, or what has stopped of a running instance, and wait until it is ready."""
    instance = Instance.resolve(data_dir)
    output = Output(as_json=as_json)
    running = instance.running()
    if running is not None:
        _complete(instance, running, port=port, gateways=gateways, tls=tls, output=output)
        return
    supervisor = start_supervisor(instance, port, bound=not detach, gateways=gateways or 1, tls=bool(tls))
    try:
        record = follow(
            instance, until=all_ready, timeout_seconds=_READY_SECONDS, output=output, supervisor=supervisor
        )
        if record is None:
            raise unready(instance.require_running())
        output.result(
            _instance_json(instance, record), shown=f"Ready: http://localhost:{record.gateway_port}/docs"
        )
        if not detach:
            output.progress.print("[dim]Ctrl-C stops it.[/dim]")
            supervisor.wait()
    except KeyboardInterrupt:
        drain(supervisor, output=output)
    except DossierError:
        if not detach:
            drain(supervisor, output=output)
        raise


def down(*, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Stop an instance: what it accepted is kept, calls in flight may finish."""
    instance = Instance.resolve(data_dir)
    output = Output(as_json=as_json)
    record = instance.running()
    if record is None:
        leftovers = _stop_leftovers(instance)
        words = f"Stopped what was left: {', '.join(leftovers)}." if leftovers else "Nothing was running."
        output.result({"stopped": list(leftovers), "was_running": False}, shown=words)
        return
    names = [process.name for process in record.processes if process.mark]
    process = record.supervisor.process()
    if process is not None:
        process.terminate()
        try:
            process.wait(_DRAIN_SECONDS)
        except psutil.TimeoutExpired as late:
            raise DossierError(
                f"The supervisor (process {record.supervisor.pid}) is still draining.",
                hint=f"`kill {record.supervisor.pid}` once more ends it at once.",
            ) from late
    output.result({"stopped": list[Json](names), "was_running": True}, shown="Stopped.")


def status(*, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show the processes of an instance: state, address, memory, restarts."""
    instance = Instance.resolve(data_dir)
    output = Output(as_json=as_json)
    record = instance.require_running()
    memory = memory_in_all(record)
    occupied = f"{memory.pss:.0f} MB in all ({memory.rss:.0f} MB resident)"
    summary = Text(f"dossier {version('dossier')}, {occupied}, {instance.home}", style="dim")
    data = {**_instance_json(instance, record), "memory_mb": memory.pss, "rss_mb": memory.rss}
    output.result(data, shown=Group(processes_table(record), summary))


def _complete(
    instance: Instance,
    running: InstanceRecord,
    *,
    port: int | None,
    gateways: int | None,
    tls: bool | None,
    output: Output,
) -> None:
    if (
        port not in {None, running.gateway_port}
        or gateways not in {None, running.gateways}
        or tls not in {None, running.tls}
    ):
        encrypted = "with" if running.tls else "without"
        raise DossierError(
            f"{instance.home} already runs, on port {running.gateway_port}, gateways: {running.gateways},"
            f" {encrypted} TLS.",
            hint="Stop it first with `dossier down`, or give the other one a --data-dir of its own.",
        )
    os.kill(running.supervisor.pid, signal.SIGHUP)
    record = follow(instance, until=_all_alive, timeout_seconds=_READY_SECONDS, output=output)
    if record is None:
        raise unready(instance.require_running())
    output.result(
        _instance_json(instance, record), shown=f"Running: http://localhost:{record.gateway_port}/docs"
    )


def _all_alive(record: InstanceRecord) -> bool:
    """Ready, and not only because nobody has noticed yet that something ended."""
    return all_ready(record) and all(entry.mark and entry.mark.process() for entry in record.processes)


def _stop_leftovers(instance: Instance) -> tuple[str, ...]:
    if not instance.home.exists():
        return ()
    with only_supervisor(instance):
        return stop_leftovers(instance.read())


def _instance_json(instance: Instance, record: InstanceRecord) -> dict[str, Json]:
    return {
        "version": version("dossier"),
        "data_dir": str(instance.home),
        "phase": record.phase.value,
        "ready": record.phase is Phase.RUNNING and all_ready(record),
        "gateway_url": f"http://localhost:{record.gateway_port}",
        "docs_url": f"http://localhost:{record.gateway_port}/docs",
        "database": record.database,
        "redis": record.redis,
        "tls": record.tls,
        "embedder": record.embedder,
        "supervisor_pid": record.supervisor.pid,
        "processes": processes_json(record),
    }
