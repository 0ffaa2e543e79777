"""Between the contract's messages about knowledge bases and the model."""

from collections.abc import Mapping
from typing import Final

from dossier.context.v1.evidence_pb2 import (
    SOURCE_STATE_ANSWERED,
    SOURCE_STATE_FAILED,
    SOURCE_STATE_TIMED_OUT,
    SOURCE_STATE_UNAVAILABLE,
    SourceReport,
    SourceState,
)
from dossier.knowledge.v1 import knowledge_base_pb2
from knowledgebases.checks import Check, Finding, Verdict
from services.knowledge.elsewhere import Heard, Trouble
from services.knowledge.syncs import SyncStanding

_STATES: Final[Mapping[Trouble, "SourceState.ValueType"]] = {
    "timed_out": SOURCE_STATE_TIMED_OUT,
    "unavailable": SOURCE_STATE_UNAVAILABLE,
    "failed": SOURCE_STATE_FAILED,
}
_KINDS: Final[Mapping[Check, "knowledge_base_pb2.KnowledgeBaseCheckKind.ValueType"]] = {
    Check.REACHABLE: knowledge_base_pb2.KNOWLEDGE_BASE_CHECK_KIND_REACHABLE,
    Check.AUTHENTICATED: knowledge_base_pb2.KNOWLEDGE_BASE_CHECK_KIND_AUTHENTICATED,
    Check.READ_PAGES: knowledge_base_pb2.KNOWLEDGE_BASE_CHECK_KIND_READ_PAGES,
    Check.SEARCH: knowledge_base_pb2.KNOWLEDGE_BASE_CHECK_KIND_SEARCH,
}
_VERDICTS: Final[Mapping[Verdict, "knowledge_base_pb2.KnowledgeBaseVerdict.ValueType"]] = {
    Verdict.OK: knowledge_base_pb2.KNOWLEDGE_BASE_VERDICT_OK,
    Verdict.FAILED: knowledge_base_pb2.KNOWLEDGE_BASE_VERDICT_FAILED,
    Verdict.SKIPPED: knowledge_base_pb2.KNOWLEDGE_BASE_VERDICT_SKIPPED,
}
_DETAIL_CHARACTERS: Final = 1_024


def write_heard(heard: Heard) -> SourceReport:
    report = SourceReport(
        source=heard.name,
        state=SOURCE_STATE_ANSWERED if heard.told.trouble is None else _STATES[heard.told.trouble],
        detail=heard.told.detail[:_DETAIL_CHARACTERS],
        evidence_count=heard.relevant,
    )
    report.duration.FromNanoseconds(round(heard.seconds * 1e9))
    return report


def write_standing(standing: SyncStanding) -> knowledge_base_pb2.KnowledgeBaseSync:
    sync = knowledge_base_pb2.KnowledgeBaseSync(
        name=standing.name,
        running=standing.running,
        error=standing.error,
        created_count=standing.counts.created,
        updated_count=standing.counts.updated,
        removed_count=standing.counts.removed,
        rejected_count=standing.counts.rejected,
        article_count=standing.articles,
    )
    sync.due_time.FromDatetime(standing.due_time)
    if standing.start_time is not None:
        sync.start_time.FromDatetime(standing.start_time)
    if standing.success_time is not None:
        sync.success_time.FromDatetime(standing.success_time)
    return sync


def write_finding(finding: Finding) -> knowledge_base_pb2.KnowledgeBaseCheck:
    return knowledge_base_pb2.KnowledgeBaseCheck(
        kind=_KINDS[finding.check],
        verdict=_VERDICTS[finding.verdict],
        seen=finding.seen,
        next_step=finding.next_step,
    )
