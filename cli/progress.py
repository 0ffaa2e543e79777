"""Progress of long work, on standard error: only where a person watches, and silent under --json."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from cli.output import Output


@contextmanager
def progress_of(what: str, *, total: int | None, output: Output) -> Iterator[Callable[[int], None]]:
    """Show a bar for `what`; the yielded function adds that many done. An unknown total shows a pulse."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output.progress, disable=not output.live, transient=True) as bars:
        task = bars.add_task(what, total=total)
        yield lambda done: bars.advance(task, done)
