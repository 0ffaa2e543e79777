"""Shows one evaluation: as a table, and as JSON."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli.evaluating.asking import Kind
from cli.evaluating.judgements import Qrels, Query, documents_judged
from cli.evaluating.judging import Compared, Judged
from cli.evaluating.measures import Difference, Measured
from cli.evaluating.own import Labels
from cli.evaluating.topics import HeldOut
from cli.output import Json
from cli.words import number_of
from retrieval.relevance import Ranking

WORDS: Final = {
    "map": "MAP",
    "mrr": "MRR",
    "p_at_1": "P@1",
    "p_at_5": "P@5",
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_100": "recall@100",
    "answered_rightly": "answered rightly",
    "abstention_precision": "nothing said: rightly",
    "abstention_recall": "nothing to say: said nothing",
    "topic_abstention_precision": "nothing said, topics held out: rightly",
    "topic_abstention_recall": "topic held out: said nothing",
}
_FEW: Final = 30
"""Of so few queries an interval is too wide to say much."""
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class OwnBasis:
    """What of the client's own tickets judges."""

    labels: Labels
    topics: HeldOut
    latest_share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation, with all that is shown of it."""

    client: str
    kind: Kind
    queries: Sequence[Query]
    relevant: Qrels
    own: OwnBasis | None
    absent: Collection[str]
    """Documents that are judged right, and which the client does not have."""
    judged: Judged
    compared: Compared | None
    recorded: bool


def evaluated_json(done: Evaluated) -> Mapping[str, Json]:
    judged = done.judged
    found = judged.asked.found
    data: dict[str, Json] = {
        "tenant": done.client,
        "kind": done.kind.value,
        "queries": len(done.queries),
        "metrics": _means(judged.measured),
        "intervals": _intervals(judged.measured),
        "answered_rightly": {
            "mean": round(judged.answered_rightly.mean, 4),
            "interval": [round(judged.answered_rightly.low, 4), round(judged.answered_rightly.high, 4)],
        },
        "nothing_found": sum(not each for each in found.values()),
        "ranking": _ranking(judged.asked.ranking),
        "abstention": {"queries": len(judged.asked.foreign), **_abstained(judged.abstained)},
        "recorded": done.recorded,
    }
    if done.own is not None:
        labels, topics = done.own.labels, done.own.topics
        data["labels"] = {
            "tickets": labels.tickets,
            "linked_pairs": labels.linked_pairs,
            "same_resolution_pairs": labels.same_resolution_pairs,
            "set_phrases": labels.set_phrases,
            "too_few": len(labels.queries) < _FEW,
        }
        data["held_out_topics"] = {
            "queries": len(judged.asked.held_out),
            "undecided": len(topics.queries) - len(judged.asked.held_out),
            "categories": topics.categories,
            "title_words": topics.title_words,
            **_abstained(judged.topics_abstained),
        }
    else:
        data["judgements"] = {
            "documents": len(documents_judged(done.queries, done.relevant)),
            "absent": sorted(done.absent),
            "too_few": len(done.queries) < _FEW,
        }
    if done.compared is not None:
        other, better = done.compared.other, done.compared.differences
        data["compared"] = {
            **_ranking(other.asked.ranking),
            "metrics": _means(other.measured),
            "answered_rightly": round(other.answered_rightly.mean, 4),
            "abstention": _means(other.abstained),
            **({"held_out_topics": _means(other.topics_abstained)} if done.own is not None else {}),
            "differences": _means(better),
            "intervals": _intervals(better),
            "p_values": {name: round(each.p_value, 4) for name, each in better.items()},
        }
    return data


def evaluated_shown(done: Evaluated) -> Group:
    better = done.compared.differences if done.compared else {}
    table = _table(done.judged.everything, len(done.queries), better)
    return Group(table, *([Text(told)] if (told := remark(done)) else []))


def remark(done: Evaluated) -> str:
    """What judged, and what that is worth."""
    if done.own is None:
        return "\n".join(_remarks_on_judgements(done))
    labels, topics = done.own.labels, done.own.topics
    told = (
        f"Judged by {labels.linked_pairs} references and {labels.same_resolution_pairs} same resolutions"
        f" among {labels.tickets} tickets; {labels.set_phrases} set phrases left out."
    )
    if topics.queries:
        decided = len(done.judged.asked.held_out)
        told += (
            f"\n{decided} tickets were asked with their topic held out: {topics.categories} categories,"
            f" {topics.title_words} words of titles."
        )
        if undecided := len(topics.queries) - decided:
            told += f" Of {undecided} more it cannot be told: all that was in reach was held out."
    else:
        told += "\nNo topic could be held out: neither categories nor titles tell tickets apart."
    if len(labels.queries) < _FEW:
        told += (
            f"\nFewer than {_FEW} queries say little: a larger --latest asks more tickets, and judgements"
            " by people say most."
        )
    return told


def _remarks_on_judgements(done: Evaluated) -> Iterator[str]:
    if done.absent:
        yield remark_on_absent(done.absent, done.queries, done.relevant, done.kind)
    if len(done.queries) < _FEW:
        yield f"Fewer than {_FEW} queries say little: judge more."


def remark_on_absent(absent: Collection[str], queries: Sequence[Query], relevant: Qrels, kind: Kind) -> str:
    some = ", ".join(sorted(absent)[:_NAMED]) + (", …" if len(absent) > _NAMED else "")
    return (
        f"Judged documents that are not among the client's {kind.value} and were not found,"
        f" {len(absent)} of {len(documents_judged(queries, relevant))}: {some}. Measures come out lower."
    )


def _table(measured: Mapping[str, Measured], queries: int, better: Mapping[str, Difference]) -> Table:
    columns = ("measure", "mean", "95 % interval", *(("better by", "95 % interval", "p") if better else ()))
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for name, each in measured.items():
        by = better.get(name)
        told = (f"{by.mean:+.3f}", f"{by.low:+.3f} to {by.high:+.3f}", f"{by.p_value:.3f}") if by else ()
        table.add_row(WORDS[name], f"{each.mean:.3f}", f"{each.low:.3f} to {each.high:.3f}", *told)
    table.caption = number_of(queries, "judged query", "judged queries")
    return table


def _means(measured: Mapping[str, Measured]) -> dict[str, Json]:
    return {name: round(each.mean, 4) for name, each in measured.items()}


def _intervals(measured: Mapping[str, Measured]) -> dict[str, Json]:
    return {name: [round(each.low, 4), round(each.high, 4)] for name, each in measured.items()}


def _abstained(measured: Mapping[str, Measured]) -> dict[str, Json]:
    return {**_means(measured), "intervals": _intervals(measured)}


def _ranking(ranking: Ranking) -> dict[str, Json]:
    return {"meaning_share": round(ranking.meaning_share, 4), "floor": ranking.floor}
