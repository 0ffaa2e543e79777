"""`evaluate`: how good retrieval is."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.table import Column, Table

from cli.commands.evaluate_tune import tune
from cli.evaluating.asking import Kind
from cli.evaluating.basis import Asker, given_judgements, own_labels, rankings_of, silent
from cli.evaluating.foreign import foreign_questions
from cli.evaluating.measures import (
    Measured,
    abstention,
    differences,
    per_query,
    summed_up,
)
from cli.evaluating.own import Labels
from cli.evaluating.recorded import latest, ranking_of, record
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.tenancy import TenantOption, tenant_or_only
from cli.words import iso, word
from dossier.tenants.v1.retrieval_pb2 import EvaluatedKind, EvaluationBasis, RetrievalEvaluation

evaluate = typer.Typer(help="Measure how good retrieval is.", no_args_is_help=True)
evaluate.command("tune")(tune)

_WORDS = {
    "map": "MAP",
    "mrr": "MRR",
    "p_at_1": "P@1",
    "p_at_5": "P@5",
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
    "abstention_precision": "nothing said: rightly",
    "abstention_recall": "nothing to say: said nothing",
}
_FEW: Final = 30
"""Of so few queries an interval is too wide to say much."""
_SHOWN_OVER_TIME: Final = ("map", "p_at_1", "ndcg_at_10", "recall_at_10", "abstention_recall")
_SHADES: Final = "▁▂▃▄▅▆▇█"


@evaluate.command("retrieval")
def retrieval(
    *,
    queries: Annotated[
        Path | None,
        typer.Option(help="JSON Lines: {id, text}, {id, title, description}, or {id} of a document."),
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="What is relevant: query<TAB>document<TAB>relevance.")
    ] = None,
    own: Annotated[
        bool,
        typer.Option(
            "--own", help="Judge by the client's own tickets: references, and resolutions that are the same."
        ),
    ] = False,
    latest_share: Annotated[
        float, typer.Option("--latest", min=0.01, max=1, help="With --own: which part of the tickets asks.")
    ] = 0.2,
    most: Annotated[
        int, typer.Option(min=1, max=100_000, help="With --own: the most queries, drawn by the seed.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="With --own: draws the queries.")] = 0,
    kind: Annotated[Kind, typer.Option(help="What is searched.")] = Kind.TICKETS,
    meaning_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How much meaning counts; else as the client's settings say."),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="From which score on it counts; else as the client's settings say."),
    ] = None,
    compare: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Another share of meaning to compare with; 0 is words alone."),
    ] = None,
    no_record: Annotated[bool, typer.Option("--no-record", help="Keep no record of it.")] = False,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the running service every query, and measure the order of what it finds.

    The documents are the client's own: import them first. Examples:

    dossier evaluate retrieval -t acme --own --compare 0
    dossier evaluate retrieval -t trial --queries queries.jsonl --qrels qrels.tsv
    """
    output = Output(as_json=as_json)
    given = given_judgements(queries, qrels, own=own, kind=kind)
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    labels = None
    if given is None:
        labels = own_labels(instance, client, output, latest_share=latest_share, most=most, seed=seed)
        given = labels.queries, labels.qrels
    asked, relevant = given
    ranking = asyncio.run(ranking_of(instance, client, kind))
    ranking = replace(
        ranking,
        meaning_share=ranking.meaning_share if meaning_share is None else meaning_share,
        floor=ranking.floor if floor is None else floor,
    )

    asker = Asker(instance, client, kind, output)
    share = ranking.meaning_share
    found = asker.ask(f"asking {kind.value}", asked, meaning_share=share)
    foreign = asker.ask("asking what nobody knows", foreign_questions(), meaning_share=share)
    values = per_query(rankings_of(found), relevant)
    measured = summed_up(values)
    abstained = abstention(silent(found, ranking.floor), silent(foreign, ranking.floor))
    everything = {**measured, **{f"abstention_{name}": each for name, each in abstained.items()}}
    compared = None
    if compare is not None:
        other = asker.ask(f"asking with {compare:g}", asked, meaning_share=compare)
        others = per_query(rankings_of(other), relevant)
        compared = summed_up(others), differences(values, others)
    if not no_record:
        asyncio.run(
            record(
                *(instance, client, kind),
                own=own,
                queries=len(asked),
                unanswerable=len(foreign),
                ranking=ranking,
                measures=everything,
            )
        )
    data: dict[str, Json] = {
        "tenant": client,
        "kind": kind.value,
        "queries": len(asked),
        "metrics": {name: round(each.mean, 4) for name, each in measured.items()},
        "intervals": _intervals(measured),
        "nothing_found": sum(not each for each in found.values()),
        "ranking": {"meaning_share": round(ranking.meaning_share, 4), "floor": ranking.floor},
        "abstention": {
            "queries": len(foreign),
            **{name: round(each.mean, 4) for name, each in abstained.items()},
            "intervals": _intervals(abstained),
        },
        "recorded": not no_record,
    }
    if labels is not None:
        data["labels"] = _labels_json(labels)
    if compared is not None:
        data["compared"] = {
            "meaning_share": compare,
            "metrics": {name: round(each.mean, 4) for name, each in compared[0].items()},
            "differences": {name: round(each.mean, 4) for name, each in compared[1].items()},
            "intervals": _intervals(compared[1]),
        }
    told = [_remark(labels)] if labels is not None else []
    table = _table(everything, len(asked), compared=compared[1] if compared else {})
    output.result(data, shown=Group(table, *told))


@evaluate.command("history")
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The most evaluations.")] = 20,
    tenant: TenantOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how good a client's search was found to be, over time.

    Example: dossier evaluate history -t acme
    """
    instance = Instance.resolve(data_dir)
    client = asyncio.run(tenant_or_only(instance, tenant))
    kept = asyncio.run(latest(instance, client, limit=limit))
    data: dict[str, Json] = {"tenant": client, "evaluations": [_kept_json(each) for each in kept]}
    shown = _over_time(kept) if kept else "None is kept yet: `dossier evaluate retrieval --own` makes one."
    Output(as_json=as_json).result(data, shown=shown)


def _intervals(measured: Mapping[str, Measured]) -> dict[str, Json]:
    return {name: [round(each.low, 4), round(each.high, 4)] for name, each in measured.items()}


def _labels_json(labels: Labels) -> dict[str, Json]:
    return {
        "tickets": labels.tickets,
        "linked_pairs": labels.linked_pairs,
        "same_resolution_pairs": labels.same_resolution_pairs,
        "set_phrases": labels.set_phrases,
        "too_few": len(labels.queries) < _FEW,
    }


def _remark(labels: Labels) -> str:
    told = (
        f"Judged by {labels.linked_pairs} references and {labels.same_resolution_pairs} same resolutions"
        f" among {labels.tickets} tickets; {labels.set_phrases} set phrases left out."
    )
    if len(labels.queries) < _FEW:
        told += (
            f"\nFewer than {_FEW} queries say little: a larger --latest asks more tickets, and judgements"
            " by people say most."
        )
    return told


def _table(measured: Mapping[str, Measured], queries: int, *, compared: Mapping[str, Measured]) -> Table:
    columns = ("measure", "mean", "95 % interval", *(("better by", "95 % interval") if compared else ()))
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for name, each in measured.items():
        by = compared.get(name)
        better = (f"{by.mean:+.3f}", f"{by.low:+.3f} to {by.high:+.3f}") if by else ()
        table.add_row(_WORDS[name], f"{each.mean:.3f}", f"{each.low:.3f} to {each.high:.3f}", *better)
    table.caption = f"{queries} judged queries"
    return table


def _kept_json(each: RetrievalEvaluation) -> dict[str, Json]:
    return {
        "id": each.id,
        "created": iso(each.create_time),
        "kind": word(EvaluatedKind.DESCRIPTOR, each.kind),
        "basis": word(EvaluationBasis.DESCRIPTOR, each.basis),
        "queries": each.query_count,
        "unanswerable": each.unanswerable_count,
        "ranking": {"meaning_share": round(each.meaning_share, 4), "floor": each.floor},
        "metrics": {measure.name: round(measure.mean, 4) for measure in each.measures},
        "intervals": {
            measure.name: [round(measure.low, 4), round(measure.high, 4)] for measure in each.measures
        },
    }


def _over_time(kept: Sequence[RetrievalEvaluation]) -> Table:
    """A row each, the latest first; the trend of each measure of what is searched, in the caption."""
    names = [_WORDS[name] for name in _SHOWN_OVER_TIME]
    # Where it is narrow, the measures' names are what goes over two lines.
    whole = [Column(name, no_wrap=True) for name in ("when", "what", "by")]
    table = Table(*whole, "queries", *names, box=None, pad_edge=False, header_style="dim")
    for each in kept:
        means = {measure.name: f"{measure.mean:.3f}" for measure in each.measures}
        table.add_row(
            iso(each.create_time) or "",
            word(EvaluatedKind.DESCRIPTOR, each.kind),
            word(EvaluationBasis.DESCRIPTOR, each.basis),
            str(each.query_count),
            *(means.get(name, "-") for name in _SHOWN_OVER_TIME),
        )
    trends = (
        f"{word(EvaluatedKind.DESCRIPTOR, kind)} {_trend(kept, kind)}"
        for kind in sorted({each.kind for each in kept})
    )
    table.caption = "nDCG@10, the earliest first: " + " · ".join(trends)
    return table


def _trend(kept: Sequence[RetrievalEvaluation], kind: int) -> str:
    means = [
        measure.mean
        for each in reversed(kept)
        if each.kind == kind
        for measure in each.measures
        if measure.name == "ndcg_at_10"
    ]
    return "".join(_SHADES[min(len(_SHADES) - 1, int(mean * len(_SHADES)))] for mean in means)
