"""Between the contract's messages and the model."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from dossier.context.v1 import evidence_pb2
from dossier.synthesis.v1 import brief_pb2, synthesis_service_pb2
from services.runtime.errors import InvalidArgument
from services.synthesis.budget import PeriodUsage
from services.synthesis.convert_budget import budget_from, budget_usage_to
from services.synthesis.language import visible
from services.synthesis.model import (
    Brief,
    Claim,
    Confidence,
    Evidence,
    EvidenceId,
    EvidenceKind,
    Fallback,
    Options,
    Order,
    Provenance,
    RequestId,
    SectionKind,
    TenantId,
    TicketText,
    Usage,
    Verdict,
    WriterKind,
)
from services.synthesis.store import ModelUsage

_DEFAULT_LANGUAGE: Final = "en"
_DEFAULT_MAX_WORDS: Final = 500

_EVIDENCE_KINDS: Final = {
    EvidenceKind.PAST_TICKET: evidence_pb2.EVIDENCE_KIND_PAST_TICKET,
    EvidenceKind.ARTICLE: evidence_pb2.EVIDENCE_KIND_ARTICLE,
    EvidenceKind.ASSET: evidence_pb2.EVIDENCE_KIND_ASSET,
    EvidenceKind.PREFIX: evidence_pb2.EVIDENCE_KIND_PREFIX,
    EvidenceKind.OBSERVATION: evidence_pb2.EVIDENCE_KIND_OBSERVATION,
}
_KINDS_OF_EVIDENCE: Final = {number: kind for kind, number in _EVIDENCE_KINDS.items()}
_SECTIONS: Final = {
    SectionKind.SIMILAR_TICKETS: brief_pb2.SECTION_KIND_SIMILAR_TICKETS,
    SectionKind.KNOWLEDGE: brief_pb2.SECTION_KIND_KNOWLEDGE,
    SectionKind.NETWORK: brief_pb2.SECTION_KIND_NETWORK,
    SectionKind.PROBABLE_CAUSES: brief_pb2.SECTION_KIND_PROBABLE_CAUSES,
    SectionKind.FIRST_STEPS: brief_pb2.SECTION_KIND_FIRST_STEPS,
}
_KINDS_OF_SECTION: Final = {number: kind for kind, number in _SECTIONS.items()}
_VERDICTS: Final = {
    Verdict.SUPPORTED: brief_pb2.VERDICT_SUPPORTED,
    Verdict.PARTIAL: brief_pb2.VERDICT_PARTIAL,
    Verdict.UNSUPPORTED: brief_pb2.VERDICT_UNSUPPORTED,
}
_CONFIDENCES: Final = {
    Confidence.LOW: brief_pb2.CONFIDENCE_LOW,
    Confidence.MEDIUM: brief_pb2.CONFIDENCE_MEDIUM,
    Confidence.HIGH: brief_pb2.CONFIDENCE_HIGH,
}
_FALLBACKS: Final = {
    Fallback.MODEL: brief_pb2.FALLBACK_MODEL,
    Fallback.BUDGET: brief_pb2.FALLBACK_BUDGET,
}
_WRITERS: Final = {
    WriterKind.LLM: brief_pb2.WRITER_LLM,
    WriterKind.EXTRACTIVE: brief_pb2.WRITER_EXTRACTIVE,
}


def order_from(request: synthesis_service_pb2.WriteBriefRequest, *, tenant: str) -> Order:
    for field, text in (
        ("request_id", request.request_id),
        ("options.model", request.options.model),
        ("options.instructions", request.options.instructions),
        ("options.additions", request.options.additions),
    ):
        # The ledger keeps them, and PostgreSQL's text has no NUL.
        if "\x00" in text:
            raise InvalidArgument(f"{field} must not contain NUL", field=field)
    content = synthesis_service_pb2.WriteBriefRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    # How long a source took differs between two asks for the same brief.
    content.ClearField("sources")
    # A budget is changed for the next call, also where that is the same again.
    if content.HasField("options"):
        content.options.ClearField("budget")
    ticket = request.ticket
    evidence = (_evidence_from(each) for each in request.evidence)
    return Order(
        tenant=TenantId(tenant),
        request_id=RequestId(request.request_id),
        content_hash=hashlib.sha256(content.SerializeToString(deterministic=True)).digest(),
        ticket=TicketText(ticket.id, visible(ticket.subject), visible(ticket.description)),
        evidence=tuple(each for each in evidence if each.bears),
        options=Options(
            language=request.options.language or _DEFAULT_LANGUAGE,
            model=request.options.model,
            max_words=request.options.max_words or _DEFAULT_MAX_WORDS,
            instructions=request.options.instructions,
            additions=visible(request.options.additions).strip(),
            sections=tuple(_KINDS_OF_SECTION[kind] for kind in request.options.sections)
            or tuple(SectionKind),
            budget=budget_from(request.options.budget),
        ),
    )


def period_from(
    request: synthesis_service_pb2.GetUsageRequest, *, now: datetime
) -> tuple[datetime, datetime]:
    """From when, inclusive, and until when, exclusive."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = _moment(request.start_time, "start_time") if request.HasField("start_time") else month
    end = _moment(request.end_time, "end_time") if request.HasField("end_time") else now
    if start > end:
        raise InvalidArgument("start_time must not be after end_time", field="start_time")
    return start, end


def response_to(
    brief: Brief, *, order: Order, sources: Iterable[evidence_pb2.SourceReport]
) -> synthesis_service_pb2.WriteBriefResponse:
    unavailable = [s for s in sources if s.state != evidence_pb2.SOURCE_STATE_ANSWERED]
    message = brief_pb2.Brief(
        sections=[
            brief_pb2.Section(kind=_SECTIONS[kind], claims=[_claim_to(claim) for claim in claims])
            for kind, claims in brief.sections.items()
        ],
        citations=[_citation_to(brief, each) for each in brief.cited],
        nothing_similar=brief.nothing_similar,
        confidence=_CONFIDENCES[brief.confidence],
        unavailable_sources=unavailable,
        writer=_WRITERS[brief.writer],
        fallback=_FALLBACKS[brief.fallback] if brief.fallback else brief_pb2.FALLBACK_UNSPECIFIED,
        fallback_reason=brief.fallback_reason,
        language=order.options.language,
        word_count=brief.word_count,
        dropped_claims=[_claim_to(claim) for claim in brief.dropped],
    )
    return synthesis_service_pb2.WriteBriefResponse(
        brief=message, usage=_usage_to(brief.usage), provenance=_provenance_to(brief.provenance)
    )


def usage_to(
    models: Sequence[ModelUsage], budget: Sequence[PeriodUsage], *, start: datetime, end: datetime
) -> synthesis_service_pb2.GetUsageResponse:
    response = synthesis_service_pb2.GetUsageResponse(
        models=[
            synthesis_service_pb2.ModelUsage(
                model=usage.model,
                call_count=usage.calls,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cost=float(usage.cost),
            )
            for usage in models
        ],
        cost=float(sum(usage.cost for usage in models)),
        budget=budget_usage_to(budget),
    )
    response.start_time.FromDatetime(start)
    response.end_time.FromDatetime(end)
    return response


def _moment(timestamp: Timestamp, field: str) -> datetime:
    try:
        return timestamp.ToDatetime(UTC)
    except ValueError:
        raise InvalidArgument(f"{field} must be in the years 1 to 9999", field=field) from None


def _evidence_from(message: evidence_pb2.Evidence) -> Evidence:
    return Evidence(
        id=EvidenceId(message.id),
        kind=_KINDS_OF_EVIDENCE[message.kind],
        source=message.source,
        title=visible(message.title),
        text=visible(message.text),
        resolution=visible(message.resolution),
        url=message.url,
        score=message.score,
    )


def _claim_to(claim: Claim) -> brief_pb2.Claim:
    return brief_pb2.Claim(text=claim.text, evidence_ids=claim.evidence_ids, verdict=_VERDICTS[claim.verdict])


def _citation_to(brief: Brief, evidence: Evidence) -> brief_pb2.Citation:
    return brief_pb2.Citation(
        evidence_id=evidence.id,
        source=evidence.source,
        id=evidence.name,
        kind=_EVIDENCE_KINDS[evidence.kind],
        title=evidence.title,
        url=evidence.url,
        score=evidence.score,
        verdict=_VERDICTS[brief.poorest_verdict(evidence.id)],
    )


def _usage_to(usage: Usage) -> brief_pb2.Usage:
    return brief_pb2.Usage(
        model=usage.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost=float(usage.cost),
        estimated=usage.estimated,
        from_ledger=usage.from_ledger,
    )


def _provenance_to(provenance: Provenance) -> brief_pb2.Provenance:
    return brief_pb2.Provenance(
        model=provenance.model,
        instructions=provenance.instructions,
        prompt_version=provenance.prompt_version,
        release=provenance.release,
    )
