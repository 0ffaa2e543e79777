"""`bench`: what this machine bears."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.bench.extent import Extent
from cli.bench.record import keep
from cli.bench.run import What, bench
from cli.bench.table import shown
from cli.output import Json, JsonOption, Output


def bench_verb(
    *,
    what: Annotated[What, typer.Argument(help="What to measure.", show_default=False)],
    seconds: Annotated[
        float | None, typer.Option(min=1, max=60, help="How long each load lasts; 6, or 2 with --quick.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure less: rough numbers within a minute.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep the result there; `all` also renews its README's table."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            file_okay=False,
            help="On which disk to measure: a folder for the instance that is made, measured and removed.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure webhooks, briefs and searches per second, beside the bare limits, on an instance of its own.

    Nothing of yours is touched. Have the machine to itself: whatever else runs is measured too.
    """
    extent = Extent.chosen(seconds=seconds, quick=quick)
    found = bench(what, extent, quick=quick, folder=data_dir, output=_progress())
    output = Output(as_json=as_json)
    if record is not None:
        output.console.print(f"Kept in {keep(found, what, record)}")
    output.result(_json(found, what), shown=shown(found))


def _json(found: dict[str, dict[str, Any]], what: What) -> dict[str, Json]:
    """One measurement's names stand at the top; with `all`, each under its own."""
    about = found["about"]
    if what is What.ALL:
        return {**about, **{name: result for name, result in found.items() if name != "about"}}
    return {**found[what.value], **about}


def _progress() -> Output:
    """On standard error, also under --json: a minute without a word is long."""
    output = Output(as_json=False)
    output.console = Console(stderr=True)
    return output
