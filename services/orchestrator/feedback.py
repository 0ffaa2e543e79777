"""Keeps a person's word on a brief."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from uuid_utils import uuid7

from audit.event import Actor
from dossier.context.v1.evidence_pb2 import EVIDENCE_KIND_ARTICLE, EVIDENCE_KIND_PAST_TICKET, EvidenceKind
from dossier.orchestrator.v1.orchestrator_service_pb2 import SubmitFeedbackRequest
from services.orchestrator.errors import CitationNotFound
from services.orchestrator.model import Document, DocumentKind, Enhancement, Feedback
from services.orchestrator.store import TenantEnhancements

_KINDS: Final[Mapping["EvidenceKind.ValueType", DocumentKind]] = {
    EVIDENCE_KIND_PAST_TICKET: DocumentKind.TICKET,
    EVIDENCE_KIND_ARTICLE: DocumentKind.ARTICLE,
}


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
        withdrawn=given.withdrawn,
    )
    is_vote = feedback.helpful is not None or feedback.withdrawn
    return await enhancements.keep_feedback(
        feedback,
        rated=_document(enhancement, given.evidence_id) if is_vote else None,
        request_id=request.request_id or None,
        by=by,
    )


def _document(enhancement: Enhancement, evidence_id: str) -> Document | None:
    """None for the whole brief, for what no service ranks, and in briefs from before documents were named."""
    evidence = enhancement.inputs.evidence if enhancement.inputs is not None else ()
    cited = next((each for each in evidence if each.id == evidence_id), None)
    if cited is None or not (cited.document_id and cited.document_source) or cited.kind not in _KINDS:
        return None
    return Document(_KINDS[cited.kind], cited.document_source, cited.document_id)
