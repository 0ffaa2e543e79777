"""Between the contract's messages and the model."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from dossier.tenants.v1 import tenant_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.errors import InvalidArgument
from services.runtime.paging import Key
from services.tenants.disclose import TicketingAccess
from services.tenants.model import (
    BriefSettings,
    ContextSource,
    KeyHolder,
    NewTenant,
    Role,
    Tenant,
    TenantId,
    TenantState,
    Ticketing,
    WebhookSecret,
    tenant_id,
)
from services.tenants.register import Registered

_NUL: Final = "\0"
_STATES: Final[Mapping[TenantState, "tenant_pb2.TenantState.ValueType"]] = {
    TenantState.ACTIVE: tenant_pb2.TENANT_STATE_ACTIVE,
    TenantState.SUSPENDED: tenant_pb2.TENANT_STATE_SUSPENDED,
}
_ROLES: Final[Mapping[Role, "pb.Role.ValueType"]] = {
    Role.ADMIN: pb.ROLE_ADMIN,
    Role.OPERATOR: pb.ROLE_OPERATOR,
    Role.TECHNICIAN: pb.ROLE_TECHNICIAN,
    Role.VIEWER: pb.ROLE_VIEWER,
}


def read_new_tenant(request: pb.CreateTenantRequest) -> NewTenant:
    for field, text in _kept_texts(request):
        if _NUL in text:
            raise InvalidArgument("must have no NUL character", field=field)
    tenant = request.tenant
    return NewTenant(
        id=TenantId(tenant.id),
        display_name=tenant.display_name,
        ticketing=Ticketing(tenant.ticketing.tool, tenant.ticketing.base_url, dict(tenant.ticketing.options)),
        brief=BriefSettings(tenant.brief.language, tenant.brief.model, tenant.brief.max_words),
        sources=tuple(
            ContextSource(source.name, source.target, source.deadline_ms) for source in tenant.sources
        ),
    )


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
        brief=tenant_pb2.BriefSettings(
            language=tenant.brief.language, model=tenant.brief.model, max_words=tenant.brief.max_words
        ),
        sources=[
            tenant_pb2.ContextSource(name=each.name, target=each.target, deadline_ms=each.deadline_ms)
            for each in tenant.sources
        ],
        create_time=_timestamp(tenant.create_time),
        update_time=_timestamp(tenant.update_time),
        etag=str(tenant.version),
    )


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
        expire_time=_timestamp(secret.expire_time) if secret.expire_time else None,
    )


def write_access(access: TicketingAccess) -> pb.GetTicketingAccessResponse:
    return pb.GetTicketingAccessResponse(tenant=write_tenant(access.tenant), credentials=access.credentials)


def write_holder(holder: KeyHolder) -> pb.AuthenticateApiKeyResponse:
    return pb.AuthenticateApiKeyResponse(
        tenant_id=holder.tenant or "", role=_ROLES[holder.role], key_id=holder.key_id
    )


def tenant_of_page(key: tuple[Key, ...]) -> TenantId | None:
    match key:
        case ():
            return None
        case (str(last),):
            return tenant_id(last)
        case _:
            raise InvalidArgument("is not a page token", field="page_token")


def _timestamp(time: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(time)
    return written


def _kept_texts(request: pb.CreateTenantRequest) -> Iterator[tuple[str, str]]:
    """What the contract allows a NUL in, and PostgreSQL's text does not."""
    tenant = request.tenant
    yield "request_id", request.request_id
    yield "tenant.display_name", tenant.display_name
    yield "tenant.brief.model", tenant.brief.model
    for name, value in tenant.ticketing.options.items():
        yield "tenant.ticketing.options", name + value
    for source in tenant.sources:
        yield "tenant.sources", source.target
