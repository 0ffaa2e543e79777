"""Keeps how good the search of a client was found to be."""

from collections.abc import Sequence
from uuid import uuid4

import orjson

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.tenants.model import Evaluation, KeptEvaluation, TenantId
from services.tenants.repeats import id_of
from services.tenants.store import Directory


async def record_evaluation(
    directory: Directory, tenant: TenantId, evaluation: Evaluation, *, actor: Actor, request_id: str
) -> KeptEvaluation:
    """Keep it once for all calls of the same request; the audit log tells the means."""
    evaluation_id = id_of(tenant, actor, "evaluation", request_id) if request_id else str(uuid4())
    action = Action(
        "RecordRetrievalEvaluation",
        f"retrieval_evaluations/{evaluation_id}",
        _told(evaluation),
    )
    async with directory.changing(tenant, actor) as change:
        return await change.add_evaluation(evaluation_id, evaluation, action)


def _told(evaluation: Evaluation) -> Sequence[FieldChange]:
    """Also what is 0: a search that finds nothing right is what a reader looks for."""
    told = {
        "kind": evaluation.kind.value,
        "basis": evaluation.basis.value,
        "query_count": evaluation.query_count,
        "meaning_share": evaluation.meaning_share,
        "floor": evaluation.floor,
        **{f"measures.{name}": measure.mean for name, measure in evaluation.measures.items()},
    }
    return [FieldChange(name, "", orjson.dumps(value).decode()) for name, value in told.items()]
