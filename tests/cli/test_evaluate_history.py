"""Evaluations over time: joined only where the same was asked."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from selectolax.lexbor import LexborHTMLParser

from cli.evaluating.over_time import over_time
from cli.evaluating.report.page import history_page
from cli.evaluating.series import series_of
from dossier.tenants.v1.retrieval_pb2 import (
    EVALUATED_KIND_ARTICLES,
    EVALUATED_KIND_TICKETS,
    EVALUATION_BASIS_JUDGEMENTS,
    EVALUATION_BASIS_OWN_TICKETS,
    EvaluatedKind,
    EvaluationBasis,
    RetrievalEvaluation,
    RetrievalMeasure,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def evaluation(
    day: int,
    mean: float,
    *,
    queries: int = 4,
    basis: EvaluationBasis.ValueType = EVALUATION_BASIS_JUDGEMENTS,
    kind: EvaluatedKind.ValueType = EVALUATED_KIND_TICKETS,
) -> RetrievalEvaluation:
    made = RetrievalEvaluation(
        kind=kind,
        basis=basis,
        query_count=queries,
        measures=[RetrievalMeasure(name="ndcg_at_10", mean=mean, low=mean, high=mean)],
    )
    made.create_time.FromDatetime(BEGIN + timedelta(days=day))
    return made


OWN = EVALUATION_BASIS_OWN_TICKETS
# The latest first, as they are kept.
KEPT = [evaluation(4, 1), evaluation(3, 1), evaluation(2, 0.75, basis=OWN), evaluation(1, 0.5, basis=OWN)]


def words_of(kept: Sequence[RetrievalEvaluation]) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(over_time(kept))
    return captured.get()


def test_evaluations_of_different_test_sets_are_not_one_trend() -> None:
    shown = words_of(KEPT)

    assert "tickets, by own tickets ▅▇\n" in shown.replace(" \n", "\n").replace("  ", "")
    assert "tickets, by judgements of 4 queries ██" in shown
    assert "own_tickets" not in shown
    assert shown.count("own tickets") == 3


def test_a_report_over_time_tells_no_difference_between_test_sets() -> None:
    page = LexborHTMLParser(history_page("acme", KEPT))

    headings = [node.text() for node in page.css("h2")]
    assert headings[:2] == [
        "Tickets, by judgements of 4 queries: nDCG@10",
        "Tickets, by own tickets: nDCG@10",
    ]
    captions = [node.text() for node in page.css("figcaption")]
    assert [each.strip() for each in captions] == [
        "2 evaluations, from 1.00 to 1.00 (+0.00); with 95 % intervals.",
        "2 evaluations, from 0.50 to 0.75 (+0.25); with 95 % intervals.",
    ]
    assert [row.css("td")[1].text() for row in page.css("tbody tr")] == [
        *("judgements", "judgements", "own tickets", "own tickets")
    ]


def test_other_judgements_are_another_test_set_and_own_tickets_stay_one_as_they_grow() -> None:
    kept = [
        evaluation(6, 0.6, kind=EVALUATED_KIND_ARTICLES),
        evaluation(5, 0.5, queries=41, basis=OWN),
        evaluation(4, 0.4, queries=40, basis=OWN),
        evaluation(3, 0.3, queries=1),
        evaluation(2, 0.2, queries=4),
        evaluation(1, 0.1, queries=4),
    ]

    series = {each.name: [it.measures[0].mean for it in each.evaluations] for each in series_of(kept)}

    assert series == {
        "articles, by judgements of 4 queries": [0.6],
        "tickets, by own tickets": [0.4, 0.5],
        "tickets, by judgements of 1 query": [0.3],
        "tickets, by judgements of 4 queries": [0.1, 0.2],
    }
