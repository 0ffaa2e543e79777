"""Between the contract's messages and the model."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.tenants.v1 import api_key_pb2, tenant_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.errors import FieldViolation, InvalidArgument, InvalidFields
from services.runtime.paging import Key
from services.runtime.rules import violations_of
from services.tenants import wire_knowledge_bases, wire_settings
from services.tenants.change import DEFAULT_OVERLAP, Rotated
from services.tenants.disclose import TicketingAccess
from services.tenants.model import (
    Budget,
    ContextSource,
    KeptApiKey,
    KeyHolder,
    Limits,
    NewTenant,
    Retention,
    Role,
    Secret,
    Tenant,
    TenantId,
    TenantState,
    Ticketing,
    WebhookSecret,
    tenant_id,
)
from services.tenants.register import Registered
from services.tenants.sealing import KeptSecret

_NUL: Final = "\0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATES: Final[Mapping[TenantState, "tenant_pb2.TenantState.ValueType"]] = {
    TenantState.ACTIVE: tenant_pb2.TENANT_STATE_ACTIVE,
    TenantState.SUSPENDED: tenant_pb2.TENANT_STATE_SUSPENDED,
    TenantState.DELETING: tenant_pb2.TENANT_STATE_DELETING,
}
_CHANGEABLE: Final = frozenset(
    {
        "display_name",
        "ticketing",
        "brief",
        "sources",
        "retention",
        "limits",
        "note",
        "queue",
        "budget",
        "retrieval",
        "knowledge_bases",
    }
)
_ROLES: Final[Mapping[Role, "api_key_pb2.Role.ValueType"]] = {
    Role.ADMIN: api_key_pb2.ROLE_ADMIN,
    Role.OPERATOR: api_key_pb2.ROLE_OPERATOR,
    Role.TECHNICIAN: api_key_pb2.ROLE_TECHNICIAN,
    Role.VIEWER: api_key_pb2.ROLE_VIEWER,
}


def read_new_tenant(request: pb.CreateTenantRequest) -> NewTenant:
    _refuse_nul("request_id", request.request_id)
    return read_settings(request.tenant)


def read_settings(tenant: tenant_pb2.Tenant) -> NewTenant:
    for field, text in _kept_texts(tenant):
        _refuse_nul(field, text)
    return NewTenant(
        id=TenantId(tenant.id),
        display_name=tenant.display_name,
        ticketing=Ticketing(tenant.ticketing.tool, tenant.ticketing.base_url, dict(tenant.ticketing.options)),
        brief=wire_settings.read_brief(tenant.brief),
        sources=tuple(
            ContextSource(source.name, source.target, source.deadline_ms) for source in tenant.sources
        ),
        retention=Retention(
            tenant.retention.ticket_days,
            tenant.retention.run_days,
            tenant.retention.ledger_days,
            tenant.retention.audit_days,
        ),
        limits=Limits(**{field.name: value for field, value in tenant.limits.ListFields()}),
        note_visibility=wire_settings.read_visibility(tenant.note),
        queue=wire_settings.read_queue(tenant.queue),
        budget=Budget(**{field.name: value for field, value in tenant.budget.ListFields()}),
        retrieval=wire_settings.read_retrieval(tenant.retrieval),
        knowledge_bases=tuple(map(wire_knowledge_bases.read, tenant.knowledge_bases)),
    )


def read_etag(request: pb.UpdateTenantRequest) -> str:
    """What was read, as it says itself or as the request says it."""
    beside, within = request.etag, request.tenant.etag
    if beside and within and beside != within:
        raise InvalidArgument(f"etag is {beside!r}, but tenant.etag is {within!r}; give one", field="etag")
    return beside or within


def write_tenant(tenant: Tenant) -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(
        id=tenant.id,
        display_name=tenant.display_name,
        state=_STATES[tenant.state],
        ticketing=tenant_pb2.TicketingConnection(
            tool=tenant.ticketing.tool,
            base_url=tenant.ticketing.base_url,
            options=tenant.ticketing.options,
        ),
        brief=wire_settings.write_brief(tenant.brief),
        sources=[
            tenant_pb2.ContextSource(name=each.name, target=each.target, deadline_ms=each.deadline_ms)
            for each in tenant.sources
        ],
        retention=tenant_pb2.Retention(
            ticket_days=tenant.retention.ticket_days,
            run_days=tenant.retention.run_days,
            ledger_days=tenant.retention.ledger_days,
            audit_days=tenant.retention.audit_days,
        ),
        create_time=write_timestamp(tenant.create_time),
        update_time=write_timestamp(tenant.update_time),
        etag=str(tenant.version),
        limits=write_limits(tenant.limits),
        note=wire_settings.write_note(tenant.note_visibility),
        queue=wire_settings.write_queue(tenant.queue),
        revision=tenant.revision,
        budget=tenant_pb2.Budget(**tenant.budget.own) if tenant.budget.own else None,
        retrieval=wire_settings.write_retrieval(tenant.retrieval),
        knowledge_bases=map(wire_knowledge_bases.write, tenant.knowledge_bases),
    )


def write_limits(limits: Limits | None) -> tenant_pb2.TenantLimits | None:
    return tenant_pb2.TenantLimits(**limits.own) if limits is not None and limits.own else None


def write_registered(registered: Registered) -> pb.CreateTenantResponse:
    response = pb.CreateTenantResponse(tenant=write_tenant(registered.tenant))
    if registered.issued is not None:
        response.webhook_secret = registered.issued.webhook_secret.reveal().decode()
        response.api_key = registered.issued.api_key.reveal().decode()
    return response


def write_webhook_secret(secret: WebhookSecret) -> pb.WebhookSecret:
    return pb.WebhookSecret(
        id=secret.id,
        value=secret.secret.reveal(),
        expire_time=write_timestamp(secret.expire_time) if secret.expire_time else None,
    )


def write_unreadable(kept: KeptSecret) -> pb.UnreadableSecret:
    place = kept.place
    return pb.UnreadableSecret(
        tenant_id=place.tenant, kind=place.kind.value, version=place.version, key_id=kept.sealed.key_id
    )


def write_access(access: TicketingAccess) -> pb.GetTicketingAccessResponse:
    return pb.GetTicketingAccessResponse(tenant=write_tenant(access.tenant), credentials=access.credentials)


def write_holder(holder: KeyHolder, limits: Limits | None) -> pb.AuthenticateApiKeyResponse:
    return pb.AuthenticateApiKeyResponse(
        tenant_id=holder.tenant or "",
        role=_ROLES[holder.role],
        key_id=holder.key_id,
        limits=write_limits(limits),
    )


def read_update(request: pb.UpdateTenantRequest) -> Callable[[Tenant], NewTenant]:
    """What makes the settings as they shall be of those that are; the mask is looked at right away."""
    mask = request.update_mask
    if not mask.paths:
        raise InvalidArgument("names no field; say which to change", field="update_mask")
    for path in mask.paths:
        if path.partition(".")[0] not in _CHANGEABLE or not _is_field(path):
            raise InvalidArgument(
                f"names {path!r}, which cannot be changed; there are {', '.join(sorted(_CHANGEABLE))}"
                " and fields of theirs",
                field="update_mask",
            )

    given = tenant_pb2.Tenant()
    given.CopyFrom(request.tenant)
    # The library passes over a field whose message is not given; here it is cleared.
    given.ticketing.SetInParent()
    given.brief.SetInParent()
    given.retention.SetInParent()
    given.limits.SetInParent()
    given.note.SetInParent()
    given.queue.SetInParent()
    given.budget.SetInParent()
    given.retrieval.tickets.SetInParent()
    given.retrieval.articles.SetInParent()

    def settings(before: Tenant) -> NewTenant:
        after = write_tenant(before)
        mask.MergeMessage(given, after, True, True)  # noqa: FBT003 - it takes no names
        if violations := violations_of(after):
            raise InvalidFields(
                tuple(FieldViolation(f"tenant.{each.field}", each.description) for each in violations)
            )
        return read_settings(after)

    return settings


def _is_field(path: str) -> bool:
    return FieldMask(paths=[path]).IsValidForDescriptor(tenant_pb2.Tenant.DESCRIPTOR)


def read_role(role: "api_key_pb2.Role.ValueType") -> Role:
    return next(mine for mine, theirs in _ROLES.items() if theirs == role)


def read_display_name(request: pb.CreateApiKeyRequest | pb.CreateOperatorKeyRequest) -> str:
    _refuse_nul("display_name", request.display_name)
    return request.display_name


def read_overlap(request: pb.RotateWebhookSecretRequest) -> timedelta:
    return request.overlap.ToTimedelta() if request.HasField("overlap") else DEFAULT_OVERLAP


def read_expiry(request: pb.CreateApiKeyRequest | pb.CreateOperatorKeyRequest) -> datetime | None:
    return request.expire_time.ToDatetime(UTC) if request.HasField("expire_time") else None


def write_key(key: KeptApiKey) -> api_key_pb2.ApiKey:
    return api_key_pb2.ApiKey(
        id=key.id,
        role=_ROLES[key.role],
        display_name=key.display_name,
        create_time=write_timestamp(key.create_time),
        expire_time=write_timestamp(key.expire_time) if key.expire_time else None,
        revoke_time=write_timestamp(key.revoke_time) if key.revoke_time else None,
        last_used_time=write_timestamp(key.last_used_time) if key.last_used_time else None,
    )


def write_shown(secret: Secret | None) -> str:
    return secret.reveal().decode() if secret is not None else ""


def write_rotated(rotated: Rotated) -> pb.RotateWebhookSecretResponse:
    until = rotated.previous_expire_time
    return pb.RotateWebhookSecretResponse(
        webhook_secret=write_shown(rotated.secret),
        secret_id=rotated.id,
        previous_expire_time=write_timestamp(until) if until else None,
        ended_secret_ids=rotated.ended,
    )


def page_after(key: KeptApiKey) -> tuple[Key, Key]:
    return round(key.create_time.timestamp() * 1e6), key.id


def place_of_page(key: tuple[Key, ...]) -> tuple[datetime, str] | None:
    match key:
        case ():
            return None
        case (int(microseconds), str(key_id)) if 0 <= microseconds < 2**52:
            return _EPOCH + timedelta(microseconds=microseconds), key_id.replace(_NUL, "\ufffd")
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def sequence_of_page(key: tuple[Key, ...]) -> int:
    match key:
        case ():
            return 0
        case (int(last),) if not isinstance(last, bool) and 0 < last < 2**63:
            return last
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def tenant_of_page(key: tuple[Key, ...]) -> TenantId | None:
    match key:
        case ():
            return None
        case (str(last),):
            return tenant_id(last)
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def write_timestamp(time: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(time)
    return written


def _refuse_nul(field: str, text: str) -> None:
    if _NUL in text:
        raise InvalidArgument("must have no NUL character", field=field)


def _kept_texts(tenant: tenant_pb2.Tenant) -> Iterator[tuple[str, str]]:
    """What the contract allows a NUL in, and PostgreSQL's text does not."""
    yield "tenant.display_name", tenant.display_name
    yield "tenant.brief.model", tenant.brief.model
    yield "tenant.brief.instructions", tenant.brief.instructions
    for name, value in tenant.ticketing.options.items():
        yield "tenant.ticketing.options", name + value
    for source in tenant.sources:
        yield "tenant.sources", source.target
    for base in tenant.knowledge_bases:
        for name, value in base.options.items():
            yield "tenant.knowledge_bases", name + value


def without_nul(text: str) -> str:
    return text.replace(_NUL, "\ufffd")
