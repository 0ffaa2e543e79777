"""Between the contract's settings and evaluations of searches, and the model's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from dossier.tenants.v1 import retrieval_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.errors import InvalidArgument
from services.runtime.paging import Key
from services.tenants import wire, wire_settings
from services.tenants.model import (
    EvaluatedKind,
    Evaluation,
    EvaluationBasis,
    KeptEvaluation,
    Measure,
    RetrievalSettings,
    TenantId,
)

_SENT_KINDS: Final[Mapping[EvaluatedKind, "retrieval_pb2.EvaluatedKind.ValueType"]] = {
    EvaluatedKind.TICKETS: retrieval_pb2.EVALUATED_KIND_TICKETS,
    EvaluatedKind.ARTICLES: retrieval_pb2.EVALUATED_KIND_ARTICLES,
}
_KINDS: Final = {sent: kind for kind, sent in _SENT_KINDS.items()}
_SENT_BASES: Final[Mapping[EvaluationBasis, "retrieval_pb2.EvaluationBasis.ValueType"]] = {
    EvaluationBasis.JUDGEMENTS: retrieval_pb2.EVALUATION_BASIS_JUDGEMENTS,
    EvaluationBasis.OWN_TICKETS: retrieval_pb2.EVALUATION_BASIS_OWN_TICKETS,
}
_BASES: Final = {sent: basis for basis, sent in _SENT_BASES.items()}


def write_of_tenant(tenant: TenantId, settings: RetrievalSettings) -> pb.TenantRetrieval:
    return pb.TenantRetrieval(tenant_id=tenant, retrieval=wire_settings.write_retrieval(settings))


def read_evaluation(sent: retrieval_pb2.RetrievalEvaluation) -> Evaluation:
    names = [measure.name for measure in sent.measures]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidArgument(f"names {repeated} twice", field="evaluation.measures")
    return Evaluation(
        kind=_KINDS[sent.kind],
        basis=_BASES[sent.basis],
        query_count=sent.query_count,
        unanswerable_count=sent.unanswerable_count,
        meaning_share=sent.meaning_share,
        floor=sent.floor,
        measures={each.name: Measure(each.mean, each.low, each.high) for each in sent.measures},
    )


def write_evaluation(kept: KeptEvaluation) -> retrieval_pb2.RetrievalEvaluation:
    evaluation = kept.evaluation
    return retrieval_pb2.RetrievalEvaluation(
        id=kept.id,
        create_time=wire.write_timestamp(kept.create_time),
        kind=_SENT_KINDS[evaluation.kind],
        basis=_SENT_BASES[evaluation.basis],
        query_count=evaluation.query_count,
        unanswerable_count=evaluation.unanswerable_count,
        meaning_share=evaluation.meaning_share,
        floor=evaluation.floor,
        measures=[
            retrieval_pb2.RetrievalMeasure(name=name, mean=each.mean, low=each.low, high=each.high)
            for name, each in evaluation.measures.items()
        ],
    )


def page_after(kept: KeptEvaluation) -> tuple[Key, Key]:
    return round(kept.create_time.timestamp() * 1e6), kept.id


def place_of_page(key: tuple[Key, ...]) -> tuple[datetime, str] | None:
    place = wire.place_of_page(key)
    if place is not None:
        try:
            UUID(place[1])
        except ValueError:
            raise InvalidArgument("is not a page token", field="page_token") from None
    return place
