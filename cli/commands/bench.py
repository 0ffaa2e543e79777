"""`bench`: what this machine bears."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.bench.extent import Extent
from cli.bench.record import keep
from cli.bench.run import What, bench, bench_large
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
    size: Annotated[
        int | None,
        typer.Option(
            min=1_000,
            max=10_000_000,
            help="`search`: how many tickets the largest client has; nine smaller ones are beside it.",
        ),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="With --size: where the tickets are kept, for later runs or to go on after a break.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure webhooks, briefs and searches per second, beside the bare limits, on an instance of its own.

    Nothing of yours is touched. Have the machine to itself: whatever else runs is measured too.

    Among a million tickets, built in 20 to 30 minutes and kept:

    dossier bench search --size 1000000 --corpus DIR
    """
    if size is not None and what is not What.SEARCH:
        raise typer.BadParameter("only `search` has a size", param_hint="--size")
    if corpus is not None and size is None:
        raise typer.BadParameter("says where the tickets of --size are kept", param_hint="--corpus")
    extent = Extent.chosen(seconds=seconds, quick=quick, size=size)
    if size is None:
        found = bench(what, extent, quick=quick, folder=data_dir, output=_progress())
    else:
        found = bench_large(extent, quick=quick, corpus=corpus, folder=data_dir, output=_progress())
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
