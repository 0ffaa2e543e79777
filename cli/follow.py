"""Watches an instance through its record, as `up` and `down` do."""

import subprocess
import time
from collections.abc import Callable

from rich.live import Live

from cli.errors import DossierError
from cli.instance import Instance, InstanceRecord, Phase, State
from cli.output import Output
from cli.supervisor.ground import ALREADY_SUPERVISED
from cli.table import processes_table

_LOOK_SECONDS = 0.1


def follow(
    instance: Instance,
    *,
    until: Callable[[InstanceRecord], bool],
    timeout_seconds: float,
    output: Output,
    supervisor: subprocess.Popen[bytes] | None = None,
) -> InstanceRecord | None:
    """Show the instance until the record satisfies `until`; None when time ran out first.

    Raises the supervisor's own trouble when that is how it ended.
    """
    deadline = time.monotonic() + timeout_seconds
    told: dict[str, str] = {}
    with Live(
        console=output.progress, refresh_per_second=8, transient=False, auto_refresh=output.live
    ) as live:
        while time.monotonic() < deadline:
            ended = supervisor is not None and supervisor.poll() is not None
            record = instance.read()
            if record is not None and _is_of(record, supervisor):
                if record.trouble is not None:
                    raise DossierError(record.trouble.message, hint=record.trouble.hint)
                if output.live:
                    live.update(processes_table(record))
                else:
                    _tell(record, told, output=output)
                if until(record):
                    return record
            if supervisor is not None and supervisor.poll() == ALREADY_SUPERVISED:
                supervisor = None  # somebody was faster: theirs is as good
            elif ended:
                raise DossierError(
                    "The supervisor ended before everything ran.",
                    hint=f"Its log: {instance.log('supervisor')}",
                )
            time.sleep(_LOOK_SECONDS)
    return None


def _is_of(record: InstanceRecord, supervisor: subprocess.Popen[bytes] | None) -> bool:
    if supervisor is None:
        return record.supervisor.process() is not None
    return record.supervisor.pid == supervisor.pid


def all_ready(record: InstanceRecord) -> bool:
    return record.phase is Phase.RUNNING and all(entry.state is State.READY for entry in record.processes)


def unready(record: InstanceRecord) -> DossierError:
    """Say which processes are not ready, and why."""
    reasons = [
        f"{process.name}: {process.detail or process.state.value}"
        for process in record.processes
        if process.state is not State.READY
    ]
    return DossierError(
        "Not everything is ready.\n" + "\n".join(reasons),
        hint="`dossier status` looks again, if it was left running; the logs say more.",
    )


def _tell(record: InstanceRecord, told: dict[str, str], *, output: Output) -> None:
    """Without a terminal: one line per process that became ready or broke."""
    for process in record.processes:
        state = process.state.value
        if told.get(process.name) != state and process.state is not State.STARTING:
            if process.name in told or process.state is not State.STOPPED:
                line = f"{process.name}: {state} {process.detail}".rstrip()
                output.progress.print(line, highlight=False, markup=False, soft_wrap=True)
            told[process.name] = state
