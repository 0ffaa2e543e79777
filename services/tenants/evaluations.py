"""Keeps how good the search of a client was found to be."""

from uuid import uuid4

from audit.event import Action, Actor
from services.tenants.model import Evaluation, KeptEvaluation, TenantId
from services.tenants.repeats import id_of
from services.tenants.store import Directory


async def record_evaluation(
    directory: Directory, tenant: TenantId, evaluation: Evaluation, *, actor: Actor, request_id: str
) -> KeptEvaluation:
    """Keep it once for all calls of the same request."""
    evaluation_id = id_of(tenant, actor, "evaluation", request_id) if request_id else str(uuid4())
    action = Action("RecordRetrievalEvaluation", f"retrieval_evaluations/{evaluation_id}")
    async with directory.changing(tenant, actor) as change:
        return await change.add_evaluation(evaluation_id, evaluation, action)
