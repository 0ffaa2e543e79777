"""An enhancement as the JSON that the command promises."""

from cli.output import Json
from cli.words import iso, seconds, word
from dossier.context.v1 import evidence_pb2, ticket_pb2
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.synthesis.v1 import brief_pb2


def enhancement_json(enhancement: pb.Enhancement) -> dict[str, Json]:
    return {
        **summary_json(enhancement),
        "deliver": enhancement.deliver,
        "ticket": ticket_json(enhancement.ticket),
        "steps": [_step(step) for step in enhancement.steps],
        "brief": brief_json(enhancement.brief) if enhancement.HasField("brief") else None,
        "evidence": [_evidence(each) for each in enhancement.evidence],
        "sources": [_source(each) for each in enhancement.sources],
        "usage": {
            "model": enhancement.usage.model,
            "prompt_tokens": enhancement.usage.prompt_tokens,
            "completion_tokens": enhancement.usage.completion_tokens,
            "estimated": enhancement.usage.estimated,
            "from_ledger": enhancement.usage.from_ledger,
        },
        "provenance": _provenance(enhancement.provenance) if enhancement.HasField("provenance") else None,
    }


def summary_json(enhancement: pb.Enhancement) -> dict[str, Json]:
    """Convey what lists have of it."""
    failure, note = enhancement.failure, enhancement.note
    return {
        "id": enhancement.id,
        "state": word(pb.EnhancementState.DESCRIPTOR, enhancement.state),
        "ticket_id": enhancement.ticket.id,
        "subject": enhancement.ticket.subject,
        "cost": enhancement.cost,
        "note": {"id": note.id, "url": note.url, "marker": note.marker, "posted": iso(note.post_time)}
        if enhancement.HasField("note")
        else None,
        "failure": {"step": failure.step, "reason": failure.reason, "message": failure.message}
        if enhancement.HasField("failure")
        else None,
        "created": iso(enhancement.create_time),
        "started": iso(enhancement.start_time),
        "ended": iso(enhancement.end_time),
        "next_attempt": iso(enhancement.next_attempt_time),
        "priority": enhancement.priority,
        "replay_of": enhancement.replay_of,
        "changes_taken_in": enhancement.changes_taken_in,
        "settings_revision": enhancement.settings_revision,
    }


def brief_json(brief: brief_pb2.Brief) -> dict[str, Json]:
    return {
        "sections": [
            {
                "section": word(brief_pb2.SectionKind.DESCRIPTOR, section.kind),
                "claims": [_claim(claim) for claim in section.claims],
            }
            for section in brief.sections
        ],
        "citations": [_citation(citation) for citation in brief.citations],
        "nothing_similar": brief.nothing_similar,
        "confidence": word(brief_pb2.Confidence.DESCRIPTOR, brief.confidence),
        "unavailable_sources": [_source(each) for each in brief.unavailable_sources],
        "writer": word(brief_pb2.Writer.DESCRIPTOR, brief.writer),
        "fallback": word(brief_pb2.Fallback.DESCRIPTOR, brief.fallback),
        "fallback_reason": brief.fallback_reason,
        "language": brief.language,
        "word_count": brief.word_count,
        "dropped_claims": [_claim(claim) for claim in brief.dropped_claims],
    }


def ticket_json(ticket: ticket_pb2.Ticket) -> dict[str, Json]:
    return {
        "id": ticket.id,
        "display_id": ticket.display_id or ticket.id,
        "tool": ticket.tool,
        "url": ticket.url,
        "subject": ticket.subject,
        "description": ticket.description,
        "requester": ticket.requester,
        "priority": ticket.priority,
        "category": ticket.category,
        "site": ticket.site,
        "status": ticket.status,
        "created": iso(ticket.create_time),
    }


def _provenance(provenance: brief_pb2.Provenance) -> dict[str, Json]:
    return {
        "model": provenance.model,
        "instructions": provenance.instructions,
        "prompt_version": provenance.prompt_version,
        "release": provenance.release,
    }


def _step(step: pb.Step) -> dict[str, Json]:
    return {
        "name": step.name,
        "state": word(pb.StepState.DESCRIPTOR, step.state),
        "attempt": step.attempt,
        "started": iso(step.start_time),
        "seconds": seconds(step.duration) if step.HasField("duration") else None,
        "detail": step.detail,
    }


def _claim(claim: brief_pb2.Claim) -> dict[str, Json]:
    return {
        "text": claim.text,
        "evidence_ids": list(claim.evidence_ids),
        "verdict": word(brief_pb2.Verdict.DESCRIPTOR, claim.verdict),
    }


def _citation(citation: brief_pb2.Citation) -> dict[str, Json]:
    return {
        "evidence_id": citation.evidence_id,
        "source": citation.source,
        "id": citation.id,
        "kind": word(evidence_pb2.EvidenceKind.DESCRIPTOR, citation.kind),
        "title": citation.title,
        "url": citation.url,
        "score": citation.score,
        "verdict": word(brief_pb2.Verdict.DESCRIPTOR, citation.verdict),
    }


def _evidence(evidence: evidence_pb2.Evidence) -> dict[str, Json]:
    return {
        "id": evidence.id,
        "kind": word(evidence_pb2.EvidenceKind.DESCRIPTOR, evidence.kind),
        "source": evidence.source,
        "title": evidence.title,
        "text": evidence.text,
        "resolution": evidence.resolution,
        "url": evidence.url,
        "score": evidence.score,
        "reasons": list(evidence.reasons),
        "time": iso(evidence.time),
    }


def _source(report: evidence_pb2.SourceReport) -> dict[str, Json]:
    return {
        "source": report.source,
        "state": word(evidence_pb2.SourceState.DESCRIPTOR, report.state),
        "detail": report.detail,
        "seconds": seconds(report.duration),
        "evidence_count": report.evidence_count,
    }
