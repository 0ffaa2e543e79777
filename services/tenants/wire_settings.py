"""Between the contract's settings of briefs, notes and the queue, and the model's."""

from collections.abc import Mapping
from typing import Final

from dossier.orchestrator.v1 import queue_pb2
from dossier.synthesis.v1 import brief_pb2
from dossier.tenants.v1 import retrieval_pb2, tenant_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.tenants.model import (
    BriefSettings,
    NoteVisibility,
    QueueSettings,
    QueueWeight,
    Ranking,
    RetrievalSettings,
    Section,
    TenantId,
)

_SENT_SECTIONS: Final[Mapping[Section, "brief_pb2.SectionKind.ValueType"]] = {
    Section.SIMILAR_TICKETS: brief_pb2.SECTION_KIND_SIMILAR_TICKETS,
    Section.KNOWLEDGE: brief_pb2.SECTION_KIND_KNOWLEDGE,
    Section.NETWORK: brief_pb2.SECTION_KIND_NETWORK,
    Section.PROBABLE_CAUSES: brief_pb2.SECTION_KIND_PROBABLE_CAUSES,
    Section.FIRST_STEPS: brief_pb2.SECTION_KIND_FIRST_STEPS,
}
_SECTIONS: Final = {sent: section for section, sent in _SENT_SECTIONS.items()}
_SENT_VISIBILITIES: Final[Mapping[NoteVisibility, "tenant_pb2.NoteVisibility.ValueType"]] = {
    NoteVisibility.PRIVATE: tenant_pb2.NOTE_VISIBILITY_PRIVATE,
    NoteVisibility.NOT_POSTED: tenant_pb2.NOTE_VISIBILITY_NOT_POSTED,
}
_VISIBILITIES: Final = {sent: visibility for visibility, sent in _SENT_VISIBILITIES.items()}
_SENT_WEIGHTS: Final[Mapping[QueueWeight, "queue_pb2.QueueWeight.ValueType"]] = {
    QueueWeight.STANDARD: queue_pb2.QUEUE_WEIGHT_STANDARD,
    QueueWeight.PREFERRED: queue_pb2.QUEUE_WEIGHT_PREFERRED,
    QueueWeight.PREMIUM: queue_pb2.QUEUE_WEIGHT_PREMIUM,
}
_WEIGHTS: Final = {sent: weight for weight, sent in _SENT_WEIGHTS.items()}


def read_brief(brief: tenant_pb2.BriefSettings) -> BriefSettings:
    return BriefSettings(
        language=brief.language,
        model=brief.model,
        max_words=brief.max_words,
        sections=tuple(_SECTIONS[section] for section in brief.sections),
        instructions=brief.instructions,
    )


def write_brief(brief: BriefSettings) -> tenant_pb2.BriefSettings:
    return tenant_pb2.BriefSettings(
        language=brief.language,
        model=brief.model,
        max_words=brief.max_words,
        sections=[_SENT_SECTIONS[section] for section in brief.sections],
        instructions=brief.instructions,
    )


def read_visibility(note: tenant_pb2.NoteSettings) -> NoteVisibility:
    return _VISIBILITIES.get(note.visibility, NoteVisibility.PRIVATE)


def write_note(visibility: NoteVisibility) -> tenant_pb2.NoteSettings:
    return tenant_pb2.NoteSettings(visibility=_SENT_VISIBILITIES[visibility])


def read_queue(queue: tenant_pb2.QueueSettings) -> QueueSettings:
    return QueueSettings(_WEIGHTS.get(queue.weight, QueueWeight.STANDARD), queue.max_in_progress)


def write_queue(queue: QueueSettings) -> tenant_pb2.QueueSettings:
    return tenant_pb2.QueueSettings(weight=_SENT_WEIGHTS[queue.weight], max_in_progress=queue.max_in_progress)


def write_share(tenant: TenantId, queue: QueueSettings) -> pb.QueueShare:
    return pb.QueueShare(tenant_id=tenant, queue=write_queue(queue))


def read_retrieval(retrieval: retrieval_pb2.RetrievalSettings) -> RetrievalSettings:
    return RetrievalSettings(_read_ranking(retrieval.tickets), _read_ranking(retrieval.articles))


def _read_ranking(ranking: retrieval_pb2.RankingSettings) -> Ranking:
    return Ranking(**{field.name: value for field, value in ranking.ListFields()})


def write_retrieval(retrieval: RetrievalSettings) -> retrieval_pb2.RetrievalSettings | None:
    """Nothing where nothing is set."""
    kinds = {kind: retrieval_pb2.RankingSettings(**ranking) for kind, ranking in retrieval.own.items()}
    return retrieval_pb2.RetrievalSettings(**kinds) if kinds else None
