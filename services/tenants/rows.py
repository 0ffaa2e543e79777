"""Between rows of the directory and the model."""

from dataclasses import asdict
from typing import Final

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from services.runtime.database import Row
from services.tenants.audit import Action, Actor, AuditEvent, FieldChange
from services.tenants.model import (
    BriefSettings,
    ContextSource,
    KeptApiKey,
    Limits,
    NewTenant,
    Retention,
    Role,
    SecretKind,
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
)
"""The columns that hold what a client may change."""


_CHANGES: Final = TypeAdapter(list[tuple[str, str, str]], config=ConfigDict(strict=True))


def settings_of(tenant: NewTenant) -> tuple[object, ...]:
    """The values of those columns, in their order."""
    return (
        tenant.display_name,
        tenant.ticketing.tool,
        tenant.ticketing.base_url,
        orjson.dumps(dict(tenant.ticketing.options)).decode(),
        tenant.brief.language,
        tenant.brief.model,
        tenant.brief.max_words,
        orjson.dumps([asdict(source) for source in tenant.sources]).decode(),
        tenant.retention.ticket_days,
        tenant.retention.run_days,
        tenant.retention.ledger_days,
        tenant.retention.audit_days,
        orjson.dumps(tenant.limits.own).decode(),
    )


def tenant_of(row: Row) -> Tenant:
    return Tenant(
        id=TenantId(row["tenant_id"]),
        display_name=row["display_name"],
        ticketing=Ticketing(row["tool"], row["base_url"], orjson.loads(row["options"])),
        brief=BriefSettings(row["language"], row["model"], row["max_words"]),
        sources=tuple(ContextSource(**source) for source in orjson.loads(row["sources"])),
        retention=Retention(row["ticket_days"], row["run_days"], row["ledger_days"], row["audit_days"]),
        limits=limits_of(row),
        state=TenantState(row["state"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
    )


def limits_of(row: Row) -> Limits:
    return Limits(**orjson.loads(row["limits"]))


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
        create_time=row["create_time"],
        actor=Actor(row["principal"], row["subject"], row["role"], row["request_id"]),
        action=Action(
            row["action"],
            row["resource"],
            tuple(FieldChange(*change) for change in changes),
        ),
        hash=row["hash"],
    )
