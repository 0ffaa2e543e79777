"""Builds the service, and translates between its contract and its deeds."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Final

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from egress.permits import Permits
from knowledgebases.contract import Connector
from knowledgebases.discovery import load_connectors
from services.runtime.caller import current_caller, current_tenant
from services.runtime.database import Database
from services.runtime.notices import Notices
from services.runtime.paging import PageTokens
from services.runtime.request_id import current_request_id
from services.runtime.serve import Service
from services.tenants import wire, wire_connection, wire_settings
from services.tenants.access import may_know, named, require_grant, require_may_set
from services.tenants.audit import verified
from services.tenants.authenticate import holder_of
from services.tenants.change import Changer
from services.tenants.connection import ConnectionTester
from services.tenants.deletion import Deleter, Keeper, OwnRows
from services.tenants.deletions import Deletions
from services.tenants.errors import DeletionNotFound, TenantNotFound
from services.tenants.export import Source, archived
from services.tenants.keys import open_sealer
from services.tenants.knowledge_base_service import KnowledgeBaseServicer
from services.tenants.model import Secret, SecretKind, TenantId, TenantState, tenant_id
from services.tenants.pages import DEFAULT_SIZE, page_of_events, page_of_keys
from services.tenants.peers import SUBJECT, open_peers
from services.tenants.redis_keys import RedisKeys
from services.tenants.reencrypt import reencrypt
from services.tenants.register import Registrar
from services.tenants.remnants import Remnants
from services.tenants.retention import KEPT_DAYS, keep_retention
from services.tenants.rules import Installed
from services.tenants.sealing import Sealer
from services.tenants.secret_uses import record_uses
from services.tenants.settings import TenantsSettings
from services.tenants.store import Directory
from services.tenants.tenant_data import tenant_rows
from ticketing.contract import TicketingTool
from ticketing.discovery import load_tools
from ticketing.options import EVERYWHERE

_SHARES: Final = 1000


async def build(settings: TenantsSettings, closers: AsyncExitStack) -> Service:
    database = Database.lazy(
        settings.database_url.get_secret_value(),
        role="dossier_tenants",
        pool_max=settings.database_pool_max,
        statement_cache=settings.database_statement_cache,
    )
    closers.push_async_callback(database.close)
    directory = Directory(database, Notices.of("tenants", settings, closers))
    rows = tenant_rows(database, audit_days=settings.retention_days)
    peers = open_peers(settings, closers)
    keepers: list[Keeper] = [*peers.values(), OwnRows(rows)]
    if settings.redis_url is not None:
        keys = RedisKeys(settings.redis_url.get_secret_value())
        closers.push_async_callback(keys.close)
        keepers.append(keys)
    deletions = Deletions(database, rows)
    remnants = Remnants(deletions, list(peers.values()))
    deleter = Deleter(directory, deletions, keepers, remnants, pause_seconds=settings.deletion_pause_seconds)
    expiring = {name: rows if name == SUBJECT else peers[name] for name in KEPT_DAYS}
    servicer = TenantServicer(
        directory,
        await open_sealer(settings, closers),
        load_tools(),
        settings.permitted_networks,
        connectors=load_connectors(),
        public_url=str(settings.public_url or "").rstrip("/"),
        deletions=deletions,
        deleter=deleter,
        remnants=remnants,
        sources={SUBJECT: rows, **peers},
    )
    return Service(
        servicers=[
            (
                pb.DESCRIPTOR.services_by_name["TenantService"],
                lambda server: add_TenantServiceServicer_to_server(servicer, server),
            )
        ],
        checks={"postgresql": database.check},
        background=[
            deleter.run,
            lambda: keep_retention(directory, expiring, every_seconds=settings.retention_sweep_seconds),
        ],
    )


class TenantServicer(KnowledgeBaseServicer):
    def __init__(
        self,
        directory: Directory,
        sealer: Sealer,
        tools: Mapping[str, TicketingTool],
        permits: Permits,
        *,
        connectors: Mapping[str, Connector],
        public_url: str,
        deletions: Deletions,
        deleter: Deleter,
        remnants: Remnants,
        sources: Mapping[str, Source],
    ) -> None:
        super().__init__(directory, sealer)
        self._deletions = deletions
        self._deleter = deleter
        self._sources = sources
        self._sealer = sealer
        self._public_url = public_url
        installed = Installed(
            tools={name: tool.options | EVERYWHERE for name, tool in tools.items()},
            connectors={name: connector.options for name, connector in connectors.items()},
        )
        self._registrar = Registrar(directory, remnants, sealer, installed, permits)
        self._changer = Changer(directory, sealer, installed, permits)
        self._tester = ConnectionTester(tools, permits)

    async def CreateTenant(
        self,
        request: pb.CreateTenantRequest,
        context: grpc.aio.ServicerContext[pb.CreateTenantRequest, pb.CreateTenantResponse],
    ) -> pb.CreateTenantResponse:
        require_grant("CreateTenant", current_caller())
        registered = await self._registrar.register(
            wire.read_new_tenant(request),
            actor=current_actor(),
            credentials=request.ticketing_credentials,
            request_id=request.request_id,
        )
        response = wire.write_registered(registered)
        response.webhook_url = wire_connection.webhook_url(registered.tenant, self._public_url)
        if registered.tenant.ticketing.base_url and not request.skip_connection_test:
            findings = await self._tester.test(registered.tenant, request.ticketing_credentials)
            response.connection_test.CopyFrom(wire_connection.write_test(findings))
        return response

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
        caller = current_caller()
        require_grant("ListTenants", caller)
        if caller.tenant is not None:
            own = await self._directory.tenant(tenant_id(caller.tenant))
            return pb.ListTenantsResponse(tenants=[wire.write_tenant(own)] if own is not None else [])
        tokens = PageTokens("ListTenants", tenant="")
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
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
        secrets, limits = await self._discloser.webhook_secrets(tenant_id(asked), request.tool)
        return pb.ListWebhookSecretsResponse(
            secrets=map(wire.write_webhook_secret, secrets), limits=wire.write_limits(limits)
        )

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
        found = await self._directory.tenant(holder.tenant) if holder.tenant is not None else None
        return wire.write_holder(holder, found.limits if found is not None else None)

    async def UpdateTenant(
        self,
        request: pb.UpdateTenantRequest,
        context: grpc.aio.ServicerContext[pb.UpdateTenantRequest, pb.UpdateTenantResponse],
    ) -> pb.UpdateTenantResponse:
        tenant = _named("UpdateTenant", request.tenant_id)
        wanted = wire.read_update(request)
        require_may_set(current_caller(), request.update_mask.paths)
        updated = await self._changer.update(
            tenant,
            wanted,
            actor=current_actor(),
            etag=wire.read_etag(request),
            validate_only=request.validate_only,
        )
        return pb.UpdateTenantResponse(
            tenant=wire.write_tenant(updated.tenant), changes=map(wire.write_change, updated.changes)
        )

    async def SuspendTenant(
        self,
        request: pb.SuspendTenantRequest,
        context: grpc.aio.ServicerContext[pb.SuspendTenantRequest, pb.SuspendTenantResponse],
    ) -> pb.SuspendTenantResponse:
        tenant = await self._changer.set_state(
            _named("SuspendTenant", request.tenant_id), TenantState.SUSPENDED, actor=current_actor()
        )
        return pb.SuspendTenantResponse(tenant=wire.write_tenant(tenant))

    async def ResumeTenant(
        self,
        request: pb.ResumeTenantRequest,
        context: grpc.aio.ServicerContext[pb.ResumeTenantRequest, pb.ResumeTenantResponse],
    ) -> pb.ResumeTenantResponse:
        tenant = await self._changer.set_state(
            _named("ResumeTenant", request.tenant_id), TenantState.ACTIVE, actor=current_actor()
        )
        return pb.ResumeTenantResponse(tenant=wire.write_tenant(tenant))

    async def RotateWebhookSecret(
        self,
        request: pb.RotateWebhookSecretRequest,
        context: grpc.aio.ServicerContext[pb.RotateWebhookSecretRequest, pb.RotateWebhookSecretResponse],
    ) -> pb.RotateWebhookSecretResponse:
        rotated = await self._changer.rotate_webhook_secret(
            _named("RotateWebhookSecret", request.tenant_id),
            actor=current_actor(),
            overlap=wire.read_overlap(request),
            request_id=request.request_id,
        )
        return wire.write_rotated(rotated)

    async def SetTicketingCredentials(
        self,
        request: pb.SetTicketingCredentialsRequest,
        context: grpc.aio.ServicerContext[
            pb.SetTicketingCredentialsRequest, pb.SetTicketingCredentialsResponse
        ],
    ) -> pb.SetTicketingCredentialsResponse:
        secret_id = await self._changer.set_credentials(
            _named("SetTicketingCredentials", request.tenant_id),
            request.credentials,
            actor=current_actor(),
        )
        return pb.SetTicketingCredentialsResponse(secret_id=secret_id)

    async def CreateApiKey(
        self,
        request: pb.CreateApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.CreateApiKeyRequest, pb.CreateApiKeyResponse],
    ) -> pb.CreateApiKeyResponse:
        secret, kept = await self._issuer.create(
            _named("CreateApiKey", request.tenant_id),
            wire.read_role(request.role),
            actor=current_actor(),
            display_name=wire.read_display_name(request),
            expire_time=wire.read_expiry(request),
            request_id=request.request_id,
        )
        return pb.CreateApiKeyResponse(api_key=wire.write_shown(secret), key=wire.write_key(kept))

    async def ListApiKeys(
        self,
        request: pb.ListApiKeysRequest,
        context: grpc.aio.ServicerContext[pb.ListApiKeysRequest, pb.ListApiKeysResponse],
    ) -> pb.ListApiKeysResponse:
        tenant = await self._known("ListApiKeys", request.tenant_id)
        keys, following = await page_of_keys(self._directory, "ListApiKeys", tenant, request)
        return pb.ListApiKeysResponse(keys=map(wire.write_key, keys), next_page_token=following)

    async def RevokeApiKey(
        self,
        request: pb.RevokeApiKeyRequest,
        context: grpc.aio.ServicerContext[pb.RevokeApiKeyRequest, pb.RevokeApiKeyResponse],
    ) -> pb.RevokeApiKeyResponse:
        key = await self._issuer.revoke(
            _named("RevokeApiKey", request.tenant_id), request.key_id, actor=current_actor()
        )
        return pb.RevokeApiKeyResponse(key=wire.write_key(key))

    async def ListAuditEvents(
        self,
        request: pb.ListAuditEventsRequest,
        context: grpc.aio.ServicerContext[pb.ListAuditEventsRequest, pb.ListAuditEventsResponse],
    ) -> pb.ListAuditEventsResponse:
        tenant = await self._known("ListAuditEvents", request.tenant_id)
        events, following = await page_of_events(self._directory, "ListAuditEvents", tenant, request)
        return pb.ListAuditEventsResponse(events=map(wire.write_event, events), next_page_token=following)

    async def VerifyAuditLog(
        self,
        request: pb.VerifyAuditLogRequest,
        context: grpc.aio.ServicerContext[pb.VerifyAuditLogRequest, pb.VerifyAuditLogResponse],
    ) -> pb.VerifyAuditLogResponse:
        tenant = await self._known("VerifyAuditLog", request.tenant_id)
        known = bytes.fromhex(request.known_hash) or None
        anchor, events = await self._directory.audit_log(tenant)
        verdict = await verified(events, known=known, anchor=anchor)
        return pb.VerifyAuditLogResponse(**wire.verdict_fields(verdict, asked=known is not None))

    async def ListQueueShares(
        self,
        request: pb.ListQueueSharesRequest,
        context: grpc.aio.ServicerContext[pb.ListQueueSharesRequest, pb.ListQueueSharesResponse],
    ) -> pb.ListQueueSharesResponse:
        require_grant("ListQueueShares", current_caller())
        tokens = PageTokens("ListQueueShares", tenant="")
        size = request.page_size or _SHARES
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        found = await self._directory.queue_shares_after(after, size + 1)
        page = found[:size]
        return pb.ListQueueSharesResponse(
            shares=[wire_settings.write_share(tenant, queue) for tenant, queue in page],
            next_page_token=tokens.encode(page[-1][0]) if len(found) > size else "",
        )

    async def ReencryptSecrets(
        self,
        request: pb.ReencryptSecretsRequest,
        context: grpc.aio.ServicerContext[pb.ReencryptSecretsRequest, pb.ReencryptSecretsResponse],
    ) -> pb.ReencryptSecretsResponse:
        require_grant("ReencryptSecrets", current_caller())
        tokens = PageTokens("ReencryptSecrets", tenant="")
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
        done = await reencrypt(self._directory, self._sealer, after=after, count=size, actor=current_actor())
        return pb.ReencryptSecretsResponse(
            tenants=len(done.tenants),
            secrets=done.secrets,
            next_page_token=tokens.encode(done.tenants[-1]) if len(done.tenants) == size else "",
            key_id=done.key_id,
            unreadable=map(wire.write_unreadable, done.unreadable),
        )

    async def DeleteTenant(
        self,
        request: pb.DeleteTenantRequest,
        context: grpc.aio.ServicerContext[pb.DeleteTenantRequest, pb.DeleteTenantResponse],
    ) -> pb.DeleteTenantResponse:
        tenant = _named("DeleteTenant", request.tenant_id)
        ask = self._deleter.preview if request.validate_only else self._deleter.begin
        return pb.DeleteTenantResponse(deletion=wire.write_deletion(await ask(tenant, current_actor())))

    async def GetTenantDeletion(
        self,
        request: pb.GetTenantDeletionRequest,
        context: grpc.aio.ServicerContext[pb.GetTenantDeletionRequest, pb.GetTenantDeletionResponse],
    ) -> pb.GetTenantDeletionResponse:
        require_grant("GetTenantDeletion", current_caller())
        found = await self._deletions.find(request.deletion_id)
        if found is None or not may_know(current_caller(), found.tenant):
            raise DeletionNotFound(request.deletion_id)
        return pb.GetTenantDeletionResponse(deletion=wire.write_deletion(found))

    async def ListTenantDeletions(
        self,
        request: pb.ListTenantDeletionsRequest,
        context: grpc.aio.ServicerContext[pb.ListTenantDeletionsRequest, pb.ListTenantDeletionsResponse],
    ) -> pb.ListTenantDeletionsResponse:
        require_grant("ListTenantDeletions", current_caller())
        of = current_caller().tenant
        tokens = PageTokens("ListTenantDeletions", tenant=of or "")
        before = wire.place_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
        found = await self._deletions.page(of=of, before=before, count=size + 1)
        page = found[:size]
        return pb.ListTenantDeletionsResponse(
            deletions=map(wire.write_deletion, page),
            next_page_token=tokens.encode(*wire.page_after_deletion(page[-1])) if len(found) > size else "",
        )

    async def ExportTenant(
        self,
        request: pb.ExportTenantRequest,
        context: grpc.aio.ServicerContext[pb.ExportTenantRequest, pb.ExportTenantResponse],
    ) -> AsyncIterator[pb.ExportTenantResponse]:
        tenant = _named("ExportTenant", request.tenant_id)
        await self._changer.record_export(tenant, actor=current_actor())
        async with aclosing(archived(tenant, self._sources)) as parts:
            async for part in parts:
                yield pb.ExportTenantResponse(archive=part.archive, file=part.file, rows=part.rows)

    async def TestConnection(
        self,
        request: pb.TestConnectionRequest,
        context: grpc.aio.ServicerContext[pb.TestConnectionRequest, pb.TestConnectionResponse],
    ) -> pb.TestConnectionResponse:
        tenant = _named("TestConnection", request.tenant_id)
        trial = wire_connection.read_trial(request, request_id=current_request_id() or "")
        await self._changer.record_test(tenant, trial, actor=current_actor())
        access = await self._discloser.access_to_test(tenant)
        findings = await self._tester.test(access.tenant, access.credentials, trial=trial)
        return pb.TestConnectionResponse(connection_test=wire_connection.write_test(findings))

    async def ListWebhookSecretVersions(
        self,
        request: pb.ListWebhookSecretVersionsRequest,
        context: grpc.aio.ServicerContext[
            pb.ListWebhookSecretVersionsRequest, pb.ListWebhookSecretVersionsResponse
        ],
    ) -> pb.ListWebhookSecretVersionsResponse:
        tenant = await self._known("ListWebhookSecretVersions", request.tenant_id)
        found = await self._directory.secret_versions(tenant, SecretKind.WEBHOOK)
        return pb.ListWebhookSecretVersionsResponse(versions=map(wire_connection.write_secret_version, found))

    async def RecordWebhookSecretUses(
        self,
        request: pb.RecordWebhookSecretUsesRequest,
        context: grpc.aio.ServicerContext[
            pb.RecordWebhookSecretUsesRequest, pb.RecordWebhookSecretUsesResponse
        ],
    ) -> pb.RecordWebhookSecretUsesResponse:
        require_grant("RecordWebhookSecretUses", current_caller())
        known = [use for use in request.uses if may_know(current_caller(), use.tenant_id)]
        await record_uses(self._directory, [wire_connection.read_use(use) for use in known])
        return pb.RecordWebhookSecretUsesResponse()

    async def RecordAuditEvents(
        self,
        request: pb.RecordAuditEventsRequest,
        context: grpc.aio.ServicerContext[pb.RecordAuditEventsRequest, pb.RecordAuditEventsResponse],
    ) -> pb.RecordAuditEventsResponse:
        caller = current_caller()
        require_grant("RecordAuditEvents", caller)
        # Its token says whose events they are and where they were made: none can be slipped in elsewhere.
        recorded = await self._directory.record(
            TenantId(caller.tenant) if caller.tenant is not None else None,
            [wire.read_reported(each, service=caller.subject) for each in request.events],
        )
        return pb.RecordAuditEventsResponse(recorded_count=recorded)

    async def _known(self, rpc: str, tenant: str) -> TenantId:
        named = _named(rpc, tenant)
        if await self._directory.tenant(named) is None:
            raise TenantNotFound(tenant)
        return named


def _named(rpc: str, tenant: str) -> TenantId:
    return named(rpc, current_caller(), tenant)
