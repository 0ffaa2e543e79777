"""Clients as JSON and as tables."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.budgets import MICRO, dollars
from cli.instance import Instance
from cli.output import Json
from cli.show.knowledge_bases import knowledge_base_json
from cli.show.listing import listing
from cli.words import iso, moment, number_of, word
from dossier.orchestrator.v1.queue_pb2 import QueueWeight
from dossier.synthesis.v1.brief_pb2 import SectionKind
from dossier.tenants.v1.api_key_pb2 import ApiKey, Role
from dossier.tenants.v1.audit_pb2 import AuditEvent, FieldChange
from dossier.tenants.v1.tenant_pb2 import NoteVisibility, Retention, Tenant, TenantState
from dossier.tenants.v1.webhook_secret_version_pb2 import WebhookSecretVersion


def tenant_json(each: Tenant, instance: Instance) -> dict[str, Json]:
    return {
        "tenant": each.id,
        "name": each.display_name,
        "state": word(TenantState.DESCRIPTOR, each.state),
        "webhook_url": webhook_url(instance, each),
        "tool": each.ticketing.tool,
        "base_url": each.ticketing.base_url,
        "options": dict(each.ticketing.options),
        "language": each.brief.language,
        "model": each.brief.model,
        "max_words": each.brief.max_words,
        "sources": [
            {"name": source.name, "target": source.target, "deadline_ms": source.deadline_ms}
            for source in each.sources
        ],
        "knowledge_bases": [knowledge_base_json(base) for base in each.knowledge_bases],
        "retention": {
            field.name: getattr(each.retention, field.name) for field in Retention.DESCRIPTOR.fields
        },
        "limits": {field.name: value for field, value in each.limits.ListFields()},
        "budget": {field.name: value for field, value in each.budget.ListFields()},
        "retrieval": {
            kind.name: {field.name: value for field, value in ranking.ListFields()}
            for kind, ranking in each.retrieval.ListFields()
        },
        "created": iso(each.create_time),
        "updated": iso(each.update_time),
        "etag": each.etag,
        "sections": [word(SectionKind.DESCRIPTOR, section) for section in each.brief.sections],
        "instructions": each.brief.instructions,
        "note_visibility": word(NoteVisibility.DESCRIPTOR, each.note.visibility),
        "weight": word(QueueWeight.DESCRIPTOR, each.queue.weight),
        "max_in_progress": each.queue.max_in_progress,
        "revision": each.revision,
    }


def webhook_url(instance: Instance, each: Tenant) -> str:
    return f"{instance.require_running().public_url.rstrip('/')}/webhooks/{each.id}/{each.ticketing.tool}"


def key_json(key: ApiKey) -> dict[str, Json]:
    return {
        "id": key.id,
        "role": word(Role.DESCRIPTOR, key.role),
        "name": key.display_name,
        "state": _state(key),
        "created": iso(key.create_time),
        "expires": iso(key.expire_time),
        "revoked": iso(key.revoke_time),
        "last_used": iso(key.last_used_time),
    }


def secret_version_json(each: WebhookSecretVersion) -> dict[str, Json]:
    return {
        "id": each.id,
        "version": each.version,
        "state": _state_of_secret(each),
        "created": iso(each.create_time),
        "expires": iso(each.expire_time),
        "last_used": iso(each.last_used_time),
    }


def change_json(change: FieldChange) -> dict[str, Json]:
    return {"field": change.field, "before": change.before, "after": change.after}


def event_json(event: AuditEvent, names: Mapping[str, str]) -> dict[str, Json]:
    return {
        "sequence": event.sequence,
        "event_id": event.event_id,
        "service": event.service,
        "time": iso(event.create_time),
        "principal": event.principal,
        "principal_name": names.get(event.principal),
        "subject": event.subject,
        "role": event.role,
        "action": event.action,
        "resource": event.resource,
        "changes": [change_json(change) for change in event.changes],
        "request_id": event.request_id,
        "hash": event.hash,
    }


def tenant_facts(each: Tenant, instance: Instance) -> Table:
    """In the units that people give them in, and without what the provider's own settings decide."""
    retention = {
        field.name.removesuffix("_days"): number_of(days, "day")
        for field, days in each.retention.ListFields()
    }
    budget = {field.name.removesuffix(MICRO): dollars(amount) for field, amount in each.budget.ListFields()}
    bases = [f"{base.name}: {base.connector}, {base.base_url}" for base in each.knowledge_bases]
    told: dict[str, Json] = {"retention": retention, "budget": budget, "knowledge_bases": bases}
    return facts(tenant_json(each, instance) | told)


def facts(data: Mapping[str, Json]) -> Table:
    """What there is of it, a line each."""
    table = Table.grid(padding=(0, 2))
    for name, value in data.items():
        if value:
            table.add_row(Text(name.replace("_", " "), style="dim"), Text(_words(value), overflow="fold"))
    return table


def _words(value: Json) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name}={_in_words(each)}" for name, each in value.items())
        case str() | int() | float() | None:
            return str(value)
        case _:
            return "\n".join(map(_words, value))


def _in_words(value: Json) -> str:
    return f"({_words(value)})" if isinstance(value, Mapping) else _words(value)


def changes_table(changes: Sequence[FieldChange]) -> Table:
    table = _table("field", "before", "after")
    for each in changes:
        cells = (
            each.field.removesuffix(MICRO),
            *(_amount(each.field, cell) for cell in (each.before, each.after)),
        )
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


def _amount(field: str, value: str) -> str:
    return dollars(int(value)) if field.endswith(MICRO) and value.isdigit() else value


def keys_table(keys: Iterable[ApiKey]) -> Table:
    names = ("id", "role", "name", "state", "created", "expires", "last_used")
    rows = [[str(each[name] or "") for name in names] for each in map(key_json, keys)]
    return listing(("key", "role", "name", "state", "created", "expires", "last used"), rows, whole={"key"})


def secret_versions_table(versions: Iterable[WebhookSecretVersion]) -> Table:
    names = ("id", "version", "state", "created", "expires", "last_used")
    rows = [
        [str(each[name] or ("never" if name == "last_used" else "")) for name in names]
        for each in map(secret_version_json, versions)
    ]
    return listing(("secret", "version", "state", "created", "expires", "last used"), rows, whole={"secret"})


def events_table(events: Iterable[AuditEvent], names: Mapping[str, str]) -> Table:
    """`names` are those of API keys, by their ids."""
    table = _table("#", "time", "who", "role", "service", "action", "what")
    for each in events:
        who = each.principal if each.principal == each.subject else f"{each.principal} via {each.subject}"
        if name := names.get(each.principal):
            who = f"{name} ({who})"
        what = "\n".join(
            [
                each.resource,
                *(f"{one.field}: {one.before or '-'} → {one.after or '-'}" for one in each.changes),
            ]
        )
        made = (iso(each.create_time) or "", who, each.role, each.service, each.action, what)
        cells = (str(each.sequence), *made)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


def shown_once(secrets: Mapping[str, str], remark: str) -> RenderableType:
    """Secrets whole, whatever the terminal's width: they are copied."""
    table = Table.grid(padding=(0, 2))
    for name, value in secrets.items():
        table.add_row(Text(name.replace("_", " "), style="dim"), Text(value, overflow="fold"))
    return Group(table, Text(remark, style="yellow"))


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="dim")


def _state_of_secret(secret: WebhookSecretVersion) -> str:
    expires = moment(secret.expire_time)
    if expires is None:
        return "current"
    return "expired" if expires < datetime.now(UTC) else "being replaced"


def _state(key: ApiKey) -> str:
    if key.HasField("revoke_time"):
        return "revoked"
    expires = moment(key.expire_time)
    return "expired" if expires is not None and expires < datetime.now(UTC) else "good"
