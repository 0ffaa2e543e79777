"""A client's evaluations by test set: between those of different ones nothing got better or worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cli.words import word
from dossier.tenants.v1.retrieval_pb2 import (
    EVALUATION_BASIS_JUDGEMENTS,
    EVALUATION_BASIS_OWN_TICKETS,
    EvaluatedKind,
    RetrievalEvaluation,
)

BASES: Final = {EVALUATION_BASIS_JUDGEMENTS: "judgements", EVALUATION_BASIS_OWN_TICKETS: "own tickets"}


@dataclass(frozen=True, slots=True)
class Series:
    """Evaluations that go together, the earliest first."""

    name: str
    evaluations: Sequence[RetrievalEvaluation]


def series_of(kept: Sequence[RetrievalEvaluation]) -> Sequence[Series]:
    """`kept` has the latest first.

    A client's own tickets grow, and are one test set all the same; of judgements only their number is known,
    and another number of them is another set.
    """
    names = [_name(each) for each in kept]
    return [
        Series(name, [each for its, each in zip(names, kept, strict=True) if its == name][::-1])
        for name in sorted(set(names))
    ]


def _name(each: RetrievalEvaluation) -> str:
    name = f"{word(EvaluatedKind.DESCRIPTOR, each.kind)}, by {BASES[each.basis]}"
    if each.basis != EVALUATION_BASIS_JUDGEMENTS:
        return name
    return f"{name} of {each.query_count} {'query' if each.query_count == 1 else 'queries'}"
