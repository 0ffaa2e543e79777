"""Keeps a person's word on a brief."""

from datetime import UTC, datetime

from uuid_utils import uuid7

from audit.event import Actor
from dossier.orchestrator.v1.orchestrator_service_pb2 import SubmitFeedbackRequest
from services.orchestrator.errors import CitationNotFound
from services.orchestrator.model import Feedback
from services.orchestrator.store import TenantEnhancements


async def submit_feedback(
    enhancements: TenantEnhancements, request: SubmitFeedbackRequest, *, by: Actor
) -> Feedback:
    given = request.feedback
    enhancement = await enhancements.read(given.enhancement_id)
    citations = enhancement.answer.brief.citations if enhancement.answer is not None else ()
    if given.evidence_id and all(given.evidence_id != each.evidence_id for each in citations):
        raise CitationNotFound(given.evidence_id)
    feedback = Feedback(
        id=str(uuid7()),
        enhancement_id=enhancement.run.id,
        evidence_id=given.evidence_id,
        helpful=given.helpful if given.HasField("helpful") else None,
        rating=given.rating if given.HasField("rating") else None,
        comment=given.comment,
        author=given.author,
        create_time=datetime.now(UTC),
    )
    return await enhancements.keep_feedback(feedback, request_id=request.request_id or None, by=by)
