"""Builds the service, and translates between its contract and its deeds."""

from contextlib import AsyncExitStack
from typing import Final

import grpc

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_service_pb2_grpc import (
    TenantServiceServicer,
    add_TenantServiceServicer_to_server,
)
from services.runtime.caller import current_caller, current_tenant
from services.runtime.database import Database
from services.runtime.paging import PageTokens
from services.runtime.serve import Service
from services.tenants import wire
from services.tenants.access import may_know, require_grant
from services.tenants.authenticate import holder_of
from services.tenants.disclose import Discloser
from services.tenants.errors import TenantNotFound
from services.tenants.model import Secret, TenantId, tenant_id
from services.tenants.register import Registrar
from services.tenants.sealing import KeyEncryptionKey
from services.tenants.settings import TenantsSettings
from services.tenants.store import Directory
from ticketing.discovery import load_tools

_PAGE: Final = 50


async def build(settings: TenantsSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_tenants",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    directory = Directory(database)
    key = KeyEncryptionKey.read(settings.key_encryption_key_file)
    servicer = TenantServicer(
        directory, Registrar(directory, key, tools=tuple(load_tools())), Discloser(directory, key)
    )
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["TenantService"],
                lambda server: add_TenantServiceServicer_to_server(servicer, server),
            )
        ],
        checks={"postgresql": database.check},
    )


class TenantServicer(TenantServiceServicer):
    def __init__(self, directory: Directory, registrar: Registrar, discloser: Discloser) -> None:
        self._directory = directory
        self._registrar = registrar
        self._discloser = discloser

    async def CreateTenant(
        self,
        request: pb.CreateTenantRequest,
        context: grpc.aio.ServicerContext[pb.CreateTenantRequest, pb.CreateTenantResponse],
    ) -> pb.CreateTenantResponse:
        require_grant("CreateTenant", current_caller())
        registered = await self._registrar.register(
            wire.read_new_tenant(request),
            credentials=request.ticketing_credentials,
            request_id=request.request_id,
        )
        return wire.write_registered(registered)

    async def GetTenant(
        self,
        request: pb.GetTenantRequest,
        context: grpc.aio.ServicerContext[pb.GetTenantRequest, pb.GetTenantResponse],
    ) -> pb.GetTenantResponse:
        require_grant("GetTenant", current_caller())
        found = None
        if may_know(current_caller(), request.tenant_id):
            found = await self._directory.tenant(tenant_id(request.tenant_id))
        if found is None:
            raise TenantNotFound(request.tenant_id)
        return pb.GetTenantResponse(tenant=wire.write_tenant(found))

    async def ListTenants(
        self,
        request: pb.ListTenantsRequest,
        context: grpc.aio.ServicerContext[pb.ListTenantsRequest, pb.ListTenantsResponse],
    ) -> pb.ListTenantsResponse:
        require_grant("ListTenants", current_caller())
        tokens = PageTokens("ListTenants", tenant="")
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        size = request.page_size or _PAGE
        found = await self._directory.tenants_after(after, size + 1)
        page = found[:size]
        return pb.ListTenantsResponse(
            tenants=map(wire.write_tenant, page),
            next_page_token=tokens.encode(page[-1].id) if len(found) > size else "",
        )

    async def ListWebhookSecrets(
        self,
        request: pb.ListWebhookSecretsRequest,
        context: grpc.aio.ServicerContext[pb.ListWebhookSecretsRequest, pb.ListWebhookSecretsResponse],
    ) -> pb.ListWebhookSecretsResponse:
        require_grant("ListWebhookSecrets", current_caller())
        asked = request.tenant_id if may_know(current_caller(), request.tenant_id) else ""
        secrets = await self._discloser.webhook_secrets(tenant_id(asked), request.tool)
        return pb.ListWebhookSecretsResponse(secrets=map(wire.write_webhook_secret, secrets))

    async def GetTicketingAccess(
        self,
        request: pb.GetTicketingAccessRequest,
        context: grpc.aio.ServicerContext[pb.GetTicketingAccessRequest, pb.GetTicketingAccessResponse],
    ) -> pb.GetTicketingAccessResponse:
        require_grant("GetTicketingAccess", current_caller())
        return wire.write_access(await self._discloser.ticketing_access(TenantId(current_tenant())))

    async def AuthenticateApiKey(
        self,
        request: pb.AuthenticateApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.AuthenticateApiKeyRequest, pb.AuthenticateApiKeyResponse],
    ) -> pb.AuthenticateApiKeyResponse:
        require_grant("AuthenticateApiKey", current_caller())
        holder = await holder_of(Secret(request.api_key.encode()), directory=self._directory)
        return wire.write_holder(holder)
