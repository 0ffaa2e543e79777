"""The steps of an enhancement as they happen: a table that ticks, or lines where nobody watches."""

import time
from collections.abc import AsyncIterator, Mapping

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.output import Output
from cli.words import lasting, moment, seconds, word
from dossier.orchestrator.v1 import enhancement_pb2 as pb

ENDED = frozenset(
    {
        pb.ENHANCEMENT_STATE_SUCCEEDED,
        pb.ENHANCEMENT_STATE_FAILED,
        pb.ENHANCEMENT_STATE_CANCELLED,
    }
)
_MARKS: Mapping[int, tuple[str, str]] = {
    pb.STEP_STATE_RUNNING: ("…", "yellow"),
    pb.STEP_STATE_SUCCEEDED: ("✓", "green"),
    pb.STEP_STATE_FAILED: ("✗", "red"),
    pb.STEP_STATE_SKIPPED: ("-", "dim"),
}


class Ticking:
    """Draws the steps anew at each refresh, so that a running one's time goes on."""

    def __init__(self) -> None:
        self.enhancement: pb.Enhancement | None = None

    def __rich__(self) -> RenderableType:
        if self.enhancement is None:
            return Text("waiting for a worker …", style="dim")
        waits = waiting(self.enhancement)
        if not self.enhancement.steps:
            return Text(waits or "waiting for a worker …", style="dim")
        table = steps_table(self.enhancement)
        return Group(table, Text(waits, style="yellow")) if waits else table


async def follow_steps(changes: AsyncIterator[pb.Enhancement], *, output: Output) -> pb.Enhancement | None:
    """Show each change until the stream ends; the last one is the result."""
    if not output.live:
        return await _tell_changes(changes, output=output)
    ticking = Ticking()
    with Live(ticking, console=output.progress, refresh_per_second=10):
        async for enhancement in changes:
            ticking.enhancement = enhancement
    return ticking.enhancement


def steps_table(enhancement: pb.Enhancement) -> Table:
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "right", "left"):
        table.add_column(justify="right" if justify == "right" else "left", no_wrap=justify == "right")
    for step in enhancement.steps:
        mark, style = _MARKS.get(step.state, ("·", "dim"))
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        took = lasting(_took(step))
        table.add_row(Text(mark, style=style), f"{step.name}{again}", took, Text(step.detail, style="dim"))
    return table


def waiting(enhancement: pb.Enhancement) -> str:
    """Say until when it waits, and why; empty when it does not."""
    at = moment(enhancement.next_attempt_time)
    if at is None or enhancement.state in ENDED:
        return ""
    left = at.timestamp() - time.time()
    until = f"waits until {at.astimezone():%H:%M:%S} (in {lasting(left)})" if left > 0 else "is due"
    # Who waits for a further try began that step last; a change of the ticket waits before it begins any.
    last = max(enhancement.steps, key=lambda step: step.start_time.ToNanoseconds(), default=None)
    if last is not None and last.state == pb.STEP_STATE_FAILED:
        return f"{until} for another try: {last.name}: {last.detail}"
    return f"{until} for further changes of the ticket"


def _took(step: pb.Step) -> float:
    if step.HasField("duration"):
        return seconds(step.duration)
    begun = moment(step.start_time)
    return max(0.0, time.time() - begun.timestamp()) if begun else 0.0


async def _tell_changes(changes: AsyncIterator[pb.Enhancement], *, output: Output) -> pb.Enhancement | None:
    """Without a terminal: one line per attempt that ended, and one per time that is waited for."""
    last: pb.Enhancement | None = None
    told: set[tuple[str, int, int]] = set()
    awaited = 0
    async for last in changes:
        for step in last.steps:
            ended = (step.name, step.attempt, step.state)
            if step.state != pb.STEP_STATE_RUNNING and ended not in told:
                told.add(ended)
                state = word(pb.StepState.DESCRIPTOR, step.state)
                line = f"{step.name}: {state} in {lasting(_took(step))}  {step.detail}"
                output.progress.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)
        until = last.next_attempt_time.ToNanoseconds()
        if until != awaited and (waits := waiting(last)):
            output.progress.print(waits, highlight=False, markup=False, soft_wrap=True)
        awaited = until
    return last
