"""`evaluate`: how good retrieval is."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.evaluating.asking import Kind, ranked
from cli.evaluating.judgements import judged, read_qrels, read_queries
from cli.evaluating.measures import Measured, per_query, summed_up
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.progress import progress_of
from cli.tenancy import TenantOption, tenant_or_only

evaluate = typer.Typer(help="Measure how good retrieval is.", no_args_is_help=True)

_WORDS = {
    "map": "MAP",
    "mrr": "MRR",
    "p_at_1": "P@1",
    "p_at_5": "P@5",
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
}


@evaluate.callback()
def group() -> None:
    """Keep `retrieval` a verb of its own, though it is alone."""


@evaluate.command("retrieval")
def retrieval(
    *,
    queries: Annotated[
        Path, typer.Option(help="JSON Lines: {id, text}, {id, title, description}, or {id} of a document.")
    ],
    qrels: Annotated[Path, typer.Option(help="What is relevant: query<TAB>document<TAB>relevance.")],
    kind: Annotated[Kind, typer.Option(help="What is searched.")] = Kind.TICKETS,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the running service every judged query, and measure the order of what it finds.

    The documents are the client's own: import them first. Example:

    dossier import tickets corpus.jsonl -t trial
    dossier evaluate retrieval -t trial --queries queries.jsonl --qrels qrels.tsv
    """
    output = Output(as_json=as_json)
    relevant = read_qrels(qrels)
    asked = judged(read_queries(queries), relevant)
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    with progress_of(f"asking {kind.value}", total=len(asked), output=output) as advance:
        rankings = asyncio.run(ranked(instance, kind, asked, tenant=client, advance=advance))
    measured = summed_up(per_query(rankings, relevant))
    data: dict[str, Json] = {
        "tenant": client,
        "kind": kind.value,
        "queries": len(asked),
        "metrics": {name: round(each.mean, 4) for name, each in measured.items()},
        "intervals": {name: [round(each.low, 4), round(each.high, 4)] for name, each in measured.items()},
        "nothing_found": sum(not found for found in rankings.values()),
    }
    output.result(data, shown=_table(measured, len(asked)))


def _table(measured: Mapping[str, Measured], queries: int) -> Table:
    table = Table("measure", "mean", "95 % interval", box=None, pad_edge=False, header_style="dim")
    for name, each in measured.items():
        table.add_row(_WORDS[name], f"{each.mean:.3f}", f"{each.low:.3f} to {each.high:.3f}")
    table.caption = f"{queries} judged queries"
    return table
