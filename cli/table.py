"""The live picture of an instance's processes."""

from contextlib import suppress
from typing import Literal

import psutil
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.instance import InstanceRecord, Phase, ProcessRecord, State
from cli.output import Json

_STYLES = {
    State.READY: "green",
    State.STARTING: "yellow",
    State.UNREADY: "yellow",
    State.BACKOFF: "red",
    State.FAILED: "bold red",
    State.STOPPED: "dim",
}


def processes_table(record: InstanceRecord) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("process", "state", "address", "pid", "memory", "restarts", ""):
        side: Literal["left", "right"] = "right" if heading in {"pid", "memory", "restarts"} else "left"
        table.add_column(heading, justify=side, no_wrap=bool(heading))
    for process in record.processes:
        memory = memory_mb(process)
        table.add_row(
            process.name,
            Text(process.state.value, style=_STYLES[process.state]),
            address(record, process.name),
            str(process.mark.pid) if process.mark else "",
            f"{memory:.0f} MB" if memory else "",
            str(process.restarts) if process.restarts else "",
            Text(process.detail.splitlines()[-1] if process.detail else "", style="dim", overflow="ellipsis"),
        )
    if record.phase is Phase.RUNNING or not record.step:
        return table
    return Group(table, Text(f"{record.step} …", style="dim"))


def address(record: InstanceRecord, name: str) -> str:
    match name:
        case "postgres" | "redis":
            return "Unix socket"
        case "gateway":
            return f"http://localhost:{record.gateway_port}"
        case _:
            return f"localhost:{record.ports.serving(name)}"


def memory_mb(process: ProcessRecord) -> float | None:
    """Return what a process and its children occupy, pages they share counted once."""
    living = process.mark.process() if process.mark else None
    if living is None:
        return None
    total = 0
    with suppress(psutil.NoSuchProcess):
        for member in [living, *living.children(recursive=True)]:
            memory = member.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total / 1e6


def processes_json(record: InstanceRecord) -> list[Json]:
    return [
        {
            "name": process.name,
            "state": process.state.value,
            "detail": process.detail,
            "address": address(record, process.name),
            "pid": process.mark.pid if process.mark else None,
            "memory_mb": memory_mb(process),
            "restarts": process.restarts,
            "log": process.log,
        }
        for process in record.processes
    ]
