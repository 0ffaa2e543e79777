"""What two states of a client's settings differ in, as the audit log and the preview say it."""

from dataclasses import asdict

import orjson

from audit.changes import FieldChange
from services.runtime.masking import masked
from services.tenants.model import KnowledgeBase, NewTenant


def differences(before: NewTenant | None, after: NewTenant) -> tuple[FieldChange, ...]:
    """Field by field; None is a client that is not there yet."""
    was, is_now = _fields(before) if before is not None else {}, _fields(after)
    return tuple(
        FieldChange(name, _told(was.get(name)), _told(is_now.get(name)))
        for name in sorted(was | is_now)
        if was.get(name) != is_now.get(name)
    )


def _told(value: object) -> str:
    """JSON text; addresses may have a password in them."""
    if value is None:
        return ""
    return orjson.dumps(masked(value) if isinstance(value, str) else value).decode()


def _fields(settings: NewTenant) -> dict[str, object]:
    """Every field that is set, by its path in the contract."""
    ticketing, brief, retention = settings.ticketing, settings.brief, settings.retention
    said: dict[str, object] = {
        "display_name": settings.display_name,
        "ticketing.tool": ticketing.tool,
        "ticketing.base_url": ticketing.base_url,
        **{f"ticketing.options.{name}": value for name, value in ticketing.options.items()},
        "brief.language": brief.language,
        "brief.model": brief.model,
        "brief.max_words": brief.max_words,
        "brief.sections": [section.value for section in brief.sections],
        "brief.instructions": brief.instructions,
        "note.visibility": settings.note_visibility.value,
        "queue.weight": settings.queue.weight.value,
        "queue.max_in_progress": settings.queue.max_in_progress,
        "sources": [asdict(source) for source in settings.sources],
        "retention.ticket_days": retention.ticket_days,
        "retention.run_days": retention.run_days,
        "retention.ledger_days": retention.ledger_days,
        "retention.audit_days": retention.audit_days,
    }
    # A limit of 0 says something: there is none. So does one of a budget: there is nothing to spend.
    limits = {f"limits.{name}": value for name, value in settings.limits.own.items()}
    budget = {f"budget.{name}": value for name, value in settings.budget.own.items()}
    # And so do weights and floors.
    retrieval = {
        f"retrieval.{kind}.{name}": value
        for kind, ranking in settings.retrieval.own.items()
        for name, value in ranking.items()
    }
    for base in settings.knowledge_bases:
        said |= _of_knowledge_base(base)
    return {name: value for name, value in said.items() if value} | limits | budget | retrieval


def _of_knowledge_base(base: KnowledgeBase) -> dict[str, object]:
    said = {
        **{name: value for name, value in asdict(base).items() if name not in {"name", "options"}},
        "mode": base.mode.value,
        **{f"options.{name}": value for name, value in base.options.items()},
    }
    return {f"knowledge_bases.{base.name}.{name}": value for name, value in said.items()}
