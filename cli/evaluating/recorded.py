"""What the tenants service keeps of evaluations, and how it keeps them."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

from cli.evaluating.asking import Kind
from cli.evaluating.measures import Measured
from cli.instance import Instance
from cli.tenancy import asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.retrieval_pb2 import (
    EVALUATED_KIND_ARTICLES,
    EVALUATED_KIND_TICKETS,
    EVALUATION_BASIS_JUDGEMENTS,
    EVALUATION_BASIS_OWN_TICKETS,
    RankingSettings,
    RetrievalEvaluation,
    RetrievalMeasure,
)
from retrieval.relevance import OF_ARTICLES, OF_TICKETS, Ranking

_KINDS = {Kind.TICKETS: EVALUATED_KIND_TICKETS, Kind.ARTICLES: EVALUATED_KIND_ARTICLES}


async def ranking_of(instance: Instance, tenant: str, kind: Kind) -> Ranking:
    """How the client is searched, by its settings."""
    async with asking_tenants(instance) as tenants:
        settings = (await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant))).tenant.retrieval
    own = settings.tickets if kind is Kind.TICKETS else settings.articles
    usual = OF_TICKETS if kind is Kind.TICKETS else OF_ARTICLES
    return Ranking(
        own.meaning_share if own.HasField("meaning_share") else usual.meaning_share,
        own.floor if own.HasField("floor") else usual.floor,
    )


async def set_ranking(instance: Instance, tenant: str, kind: Kind, ranking: Ranking) -> None:
    """Make it the client's setting."""
    own = RankingSettings(meaning_share=ranking.meaning_share, floor=ranking.floor)
    request = pb.UpdateTenantRequest(tenant_id=tenant)
    getattr(request.tenant.retrieval, kind.value).CopyFrom(own)
    request.update_mask.paths.append(f"retrieval.{kind.value}")
    async with asking_tenants(instance) as tenants:
        await tenants.UpdateTenant(request)


async def record(
    instance: Instance,
    tenant: str,
    kind: Kind,
    *,
    own: bool,
    queries: int,
    unanswerable: int,
    ranking: Ranking,
    measures: Mapping[str, Measured],
) -> None:
    evaluation = RetrievalEvaluation(
        kind=_KINDS[kind],
        basis=EVALUATION_BASIS_OWN_TICKETS if own else EVALUATION_BASIS_JUDGEMENTS,
        query_count=queries,
        unanswerable_count=unanswerable,
        meaning_share=ranking.meaning_share,
        floor=ranking.floor,
        measures=[
            RetrievalMeasure(name=name, mean=each.mean, low=each.low, high=each.high)
            for name, each in measures.items()
        ],
    )
    request = pb.RecordRetrievalEvaluationRequest(
        tenant_id=tenant, evaluation=evaluation, request_id=str(uuid4())
    )
    async with asking_tenants(instance) as tenants:
        await tenants.RecordRetrievalEvaluation(request)


async def latest(instance: Instance, tenant: str, *, limit: int) -> Sequence[RetrievalEvaluation]:
    """The latest first."""
    request = pb.ListRetrievalEvaluationsRequest(tenant_id=tenant, page_size=limit)
    async with asking_tenants(instance) as tenants:
        return (await tenants.ListRetrievalEvaluations(request)).evaluations
