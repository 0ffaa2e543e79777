"""Shows a client's evaluations as they followed each other."""

from collections.abc import Sequence
from typing import Final

from rich.table import Column, Table

from cli.evaluating.series import BASES, Series, series_of
from cli.evaluating.shown import WORDS
from cli.output import Json
from cli.words import iso, word
from dossier.tenants.v1.retrieval_pb2 import EvaluatedKind, EvaluationBasis, RetrievalEvaluation

SHOWN_OVER_TIME: Final = ("map", "p_at_1", "ndcg_at_10", "recall_at_10", "abstention_recall")
_SHADES: Final = "▁▂▃▄▅▆▇█"


def kept_json(each: RetrievalEvaluation) -> dict[str, Json]:
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


def over_time(kept: Sequence[RetrievalEvaluation]) -> Table:
    """A row each, the latest first; in the caption the trend of each test set."""
    names = [WORDS[name] for name in SHOWN_OVER_TIME]
    # Where it is narrow, the measures' names are what goes over two lines.
    whole = [Column(name, no_wrap=True) for name in ("when", "what", "by")]
    table = Table(*whole, "queries", *names, box=None, pad_edge=False, header_style="dim")
    for each in kept:
        means = {measure.name: f"{measure.mean:.3f}" for measure in each.measures}
        table.add_row(
            iso(each.create_time) or "",
            word(EvaluatedKind.DESCRIPTOR, each.kind),
            BASES[each.basis],
            str(each.query_count),
            *(means.get(name, "-") for name in SHOWN_OVER_TIME),
        )
    trends = (f"{each.name} {_trend(each)}" for each in series_of(kept))
    table.caption_justify = "left"
    table.caption = "\n".join(["nDCG@10, the earliest first:", *trends])
    return table


def _trend(series: Series) -> str:
    means = [
        measure.mean
        for each in series.evaluations
        for measure in each.measures
        if measure.name == "ndcg_at_10"
    ]
    return "".join(_SHADES[min(len(_SHADES) - 1, int(mean * len(_SHADES)))] for mean in means)
