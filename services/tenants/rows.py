"""Between rows of the directory and the model."""

from dataclasses import asdict
from typing import Final

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from audit.changes import FieldChange
from audit.event import Action, Actor
from services.runtime.database import Row
from services.tenants.audit import AuditEvent, Origin
from services.tenants.model import (
    BriefSettings,
    Budget,
    ContextSource,
    KeptApiKey,
    KnowledgeBase,
    KnowledgeBaseMode,
    Limits,
    NewTenant,
    NoteVisibility,
    QueueSettings,
    QueueWeight,
    Ranking,
    Retention,
    RetrievalSettings,
    Role,
    SecretKind,
    Section,
    Tenant,
    TenantId,
    TenantState,
    Ticketing,
)
from services.tenants.sealing import KeptSecret, Place, Sealed

SETTINGS: Final = (
    "display_name",
    "tool",
    "base_url",
    "options",
    "language",
    "model",
    "max_words",
    "sources",
    "ticket_days",
    "run_days",
    "ledger_days",
    "audit_days",
    "limits",
    "sections",
    "instructions",
    "note_visibility",
    "queue_weight",
    "max_in_progress",
    "budget",
    "retrieval",
    "knowledge_bases",
)
"""The columns that hold what a client may change."""


_CHANGES: Final = TypeAdapter(list[tuple[str, str, str]], config=ConfigDict(strict=True))


def settings_of(tenant: NewTenant) -> tuple[object, ...]:
    """The values of those columns, in their order."""
    return (
        tenant.display_name,
        tenant.ticketing.tool,
        tenant.ticketing.base_url,
        orjson.dumps(dict(tenant.ticketing.options), option=orjson.OPT_SORT_KEYS).decode(),
        tenant.brief.language,
        tenant.brief.model,
        tenant.brief.max_words,
        orjson.dumps([asdict(source) for source in tenant.sources]).decode(),
        tenant.retention.ticket_days,
        tenant.retention.run_days,
        tenant.retention.ledger_days,
        tenant.retention.audit_days,
        orjson.dumps(tenant.limits.own).decode(),
        [section.value for section in tenant.brief.sections],
        tenant.brief.instructions,
        tenant.note_visibility.value,
        tenant.queue.weight.value,
        tenant.queue.max_in_progress,
        orjson.dumps(tenant.budget.own).decode(),
        orjson.dumps(tenant.retrieval.own).decode(),
        orjson.dumps(
            [{**asdict(each), "mode": each.mode.value} for each in tenant.knowledge_bases],
            option=orjson.OPT_SORT_KEYS,
        ).decode(),
    )


def tenant_of(row: Row) -> Tenant:
    return Tenant(
        id=TenantId(row["tenant_id"]),
        display_name=row["display_name"],
        ticketing=Ticketing(row["tool"], row["base_url"], orjson.loads(row["options"])),
        brief=BriefSettings(
            language=row["language"],
            model=row["model"],
            max_words=row["max_words"],
            sections=tuple(map(Section, row["sections"])),
            instructions=row["instructions"],
        ),
        sources=tuple(ContextSource(**source) for source in orjson.loads(row["sources"])),
        retention=Retention(row["ticket_days"], row["run_days"], row["ledger_days"], row["audit_days"]),
        limits=limits_of(row),
        note_visibility=NoteVisibility(row["note_visibility"]),
        queue=queue_of(row),
        budget=Budget(**orjson.loads(row["budget"])),
        retrieval=retrieval_of(row),
        knowledge_bases=knowledge_bases_of(row),
        state=TenantState(row["state"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
        revision=row["revision"],
    )


def limits_of(row: Row) -> Limits:
    return Limits(**orjson.loads(row["limits"]))


def queue_of(row: Row) -> QueueSettings:
    return QueueSettings(QueueWeight(row["queue_weight"]), row["max_in_progress"])


def retrieval_of(row: Row) -> RetrievalSettings:
    return RetrievalSettings(
        **{kind: Ranking(**ranking) for kind, ranking in orjson.loads(row["retrieval"]).items()}
    )


def knowledge_bases_of(row: Row) -> tuple[KnowledgeBase, ...]:
    return tuple(
        KnowledgeBase(**{**base, "mode": KnowledgeBaseMode(base["mode"])})
        for base in orjson.loads(row["knowledge_bases"])
    )


def secret_of(row: Row, tenant: TenantId, kind: SecretKind) -> KeptSecret:
    """Its version is named `secret_version`, since tenants have one too."""
    return KeptSecret(
        row["secret_id"],
        Place(tenant, kind, row["secret_version"]),
        Sealed(row["key_id"], row["wrapped_key"], row["ciphertext"]),
        row["expire_time"],
    )


def key_of(row: Row) -> KeptApiKey:
    return KeptApiKey(
        id=row["key_id"],
        role=Role(row["role"]),
        display_name=row["display_name"],
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
        last_used_time=row["last_used_time"],
    )


class NotAnEvent(Exception):
    """Somebody has written what the service does not write."""


def event_of(row: Row) -> AuditEvent:
    """Raises `NotAnEvent`."""
    try:
        changes = _CHANGES.validate_json(row["changes"])
    except ValidationError:
        raise NotAnEvent from None
    return AuditEvent(
        tenant=TenantId(row["tenant_id"]),
        sequence=row["sequence"],
        form=row["form"],
        origin=Origin(row["service"], str(row["event_id"] or ""), row["create_time"]),
        actor=Actor(row["principal"], row["subject"], row["role"], row["request_id"]),
        action=Action(
            row["action"],
            row["resource"],
            tuple(FieldChange(*change) for change in changes),
        ),
        hash=row["hash"],
    )
