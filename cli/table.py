"""The live picture of an instance's processes."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import psutil
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.instance import InstanceRecord, Phase, ProcessMark, ProcessRecord, State
from cli.output import Json

_SERVERS = frozenset({"postgres", "redis", "embedder"})
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
        memory = memory_of(process.mark)
        table.add_row(
            process.name,
            Text(process.state.value, style=_STYLES[process.state]),
            address(record, process.name),
            str(process.mark.pid) if process.mark else "",
            f"{memory.pss:.0f} MB" if memory else "",
            str(process.restarts) if process.restarts else "",
            Text(process.detail.splitlines()[-1] if process.detail else "", style="dim", overflow="ellipsis"),
        )
    if record.phase is Phase.RUNNING or not record.step:
        return table
    return Group(table, Text(f"{record.step} …", style="dim"))


def address(record: InstanceRecord, name: str) -> str:
    match name:
        case server if server in _SERVERS:
            return "Unix socket"
        case gateway if gateway in record.ports.gateway_names:
            return f"http://localhost:{record.gateway_port}"
        case _:
            return f"localhost:{record.ports.serving(name)}"


@dataclass(frozen=True, slots=True)
class Memory:
    """What processes occupy, in MB."""

    pss: float = 0
    """Pages they share counted once; where the system cannot tell, the same as `rss`."""
    rss: float = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.pss + other.pss, self.rss + other.rss)


def memory_of(mark: ProcessMark | None) -> Memory | None:
    """Measure a process with its children; None when it does not run."""
    living = mark.process() if mark else None
    if living is None:
        return None
    total = Memory()
    with suppress(psutil.NoSuchProcess):
        for member in [living, *living.children(recursive=True)]:
            memory = member.memory_full_info()
            total += Memory(getattr(memory, "pss", memory.rss) / 1e6, memory.rss / 1e6)
    return total


def memory_in_all(record: InstanceRecord) -> Memory:
    """Sum everything an instance runs, its supervisor included (whose children are all the others)."""
    return memory_of(record.supervisor) or Memory()


def processes_json(record: InstanceRecord) -> list[Json]:
    return [_process_json(record, process) for process in record.processes]


def _process_json(record: InstanceRecord, process: ProcessRecord) -> dict[str, Json]:
    memory = memory_of(process.mark)
    server = process.name in _SERVERS
    return {
        "name": process.name,
        "state": process.state.value,
        "detail": process.detail,
        "address": address(record, process.name),
        "port": None if server else record.ports.serving(process.name),
        "metrics_port": None if server else record.ports.metrics(process.name),
        "pid": process.mark.pid if process.mark else None,
        "memory_mb": memory.pss if memory else None,
        "rss_mb": memory.rss if memory else None,
        "restarts": process.restarts,
        "log": process.log,
    }
