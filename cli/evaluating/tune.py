"""Finds the share of meaning and the floor that serve a client best, on one half of its queries."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

from cli.evaluating.asking import Answers
from cli.evaluating.judgements import Qrels, Query
from cli.evaluating.measures import per_query

SHARES: Final = (0.0, 0.15, 0.3, 0.45, 0.7, 0.85, 1.0)
"""Those that are tried beside the client's present one."""
_BY: Final = "ndcg_at_10"


def halves(queries: Sequence[Query]) -> tuple[Sequence[Query], Sequence[Query]]:
    """Every other query, so that both halves are of all times."""
    return queries[::2], queries[1::2]


def best_share(answers: Mapping[float, Answers], qrels: Qrels, *, present: float) -> float:
    """The present one where another is no better."""

    def goodness(share: float) -> float:
        rankings = {query: [each.document for each in found] for query, found in answers[share].items()}
        return fmean(per_query(rankings, qrels)[_BY].values())

    best = max(answers, key=goodness)
    return best if goodness(best) > goodness(present) else present


def best_floor(answered: Answers, foreign: Answers, qrels: Qrels, *, present: float) -> float:
    """Balance what is shown of what is right against what is shown where nothing is.

    The lowest of the best: what is left out cannot be judged by its reader.
    """
    right = [
        max((each.score for each in found if each.document in qrels[query]), default=0.0)
        for query, found in answered.items()
    ]
    wrong = [found[0].score if found else 0.0 for found in foreign.values()]

    def balance(floor: float) -> float:
        return fmean(score >= floor for score in right) + fmean(score < floor for score in wrong)

    floors = [number / 100 for number in range(1, 100)]
    best = max(floors, key=lambda floor: (balance(floor), -floor))
    return best if balance(best) > balance(present) else present
