"""The measures of TREC, as its own program computes them, and how sure they are."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import ir_measures
from ir_measures import AP, RR, P, R, nDCG
from scipy.stats import permutation_test

from cli.evaluating.judgements import Qrels

_MEASURES: Final = {
    "map": AP,
    "mrr": RR,
    "p_at_1": P @ 1,
    "p_at_5": P @ 5,
    "ndcg_at_10": nDCG @ 10,
    "recall_at_10": R @ 10,
    "recall_at_100": R @ 100,
}
NAMES: Final = tuple(_MEASURES)
_RESAMPLES: Final = 1_000
_OUTSIDE: Final = 0.025
_LEAST_TESTED: Final = 2
_FLIPS: Final = 9_999
_FLIPPED_AT_ONCE: Final = 4_000_000
"""Values, so that a hundred thousand queries do not fill the memory."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over queries; in 19 of 20 samples of as many queries it would lie between `low` and `high`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference(Measured):
    """`p_value` is how often chance alone would make a difference as large, either way."""

    p_value: float


Rankings = Mapping[str, Sequence[str]]
"""Query → documents, the best first."""
PerQuery = Mapping[str, Mapping[str, float]]
"""Measure → query → value."""


def per_query(rankings: Rankings, qrels: Qrels) -> PerQuery:
    """A query that found nothing has 0 of everything."""
    run = {
        query: {document: -float(place) for place, document in enumerate(found)}
        for query, found in rankings.items()
    }
    names = {measure: name for name, measure in _MEASURES.items()}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(rankings, 0.0) for name in NAMES}
    relevant = {query: dict(qrels[query]) for query in rankings}
    for metric in ir_measures.iter_calc(list(names), relevant, run):
        values[names[metric.measure]][metric.query_id] = metric.value
    return values


def summed_up(values: PerQuery) -> Mapping[str, Measured]:
    return {name: _bootstrapped(list(of_queries.values())) for name, of_queries in values.items()}


def differences(values: PerQuery, others: PerQuery) -> Mapping[str, Difference]:
    """How much better the first are than the others, by the queries that both have."""
    return {
        name: _difference(
            [value - others[name][query] for query, value in mine.items() if query in others[name]]
        )
        for name, mine in values.items()
        if mine.keys() & others[name].keys()
    }


def abstention(answerable: Sequence[bool], unanswerable: Sequence[bool]) -> Mapping[str, Measured]:
    """How often saying nothing was right, of all the times (precision) and all the occasions (recall).

    Each sequence says of its queries whether nothing was said. Without any there is no precision.
    """
    silent = [False] * sum(answerable) + [True] * sum(unanswerable)
    measured = {"recall": _bootstrapped(list(map(float, unanswerable)))} if unanswerable else {}
    return measured | ({"precision": _bootstrapped(list(map(float, silent)))} if silent else {})


def _difference(paired: Sequence[float]) -> Difference:
    """With Fisher's randomisation test: were the two alike, each query's sign would be a throw of a coin."""
    measured = _bootstrapped(paired)
    if len(paired) < _LEAST_TESTED:
        return Difference(measured.mean, measured.low, measured.high, 1.0)
    tested = permutation_test(
        (paired,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        batch=max(1, _FLIPPED_AT_ONCE // len(paired)),
        rng=0,
    )
    return Difference(measured.mean, measured.low, measured.high, float(tested.pvalue))


def _bootstrapped(values: Sequence[float]) -> Measured:
    """The percentile bootstrap (Efron 1979), from a fixed seed: the same data give the same interval."""
    dice = random.Random(0)  # noqa: S311 - statistics
    means = sorted(statistics.fmean(dice.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    low, high = means[int(_OUTSIDE * _RESAMPLES)], means[int((1 - _OUTSIDE) * _RESAMPLES) - 1]
    return Measured(statistics.fmean(values), low, high)
