"""The RPCs about a client's secrets, and about the tool that they are for."""

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller, current_tenant
from services.runtime.paging import PageTokens
from services.runtime.request_id import current_request_id
from services.tenants import wire, wire_connection
from services.tenants.access import may_know, named, require_grant
from services.tenants.deeds import DeedServicer
from services.tenants.model import SecretKind, TenantId, tenant_id
from services.tenants.pages import DEFAULT_SIZE
from services.tenants.reencrypt import reencrypt
from services.tenants.secret_uses import record_uses


class SecretServicer(DeedServicer):
    async def ListWebhookSecrets(
        self,
        request: pb.ListWebhookSecretsRequest,
        context: grpc.aio.ServicerContext[pb.ListWebhookSecretsRequest, pb.ListWebhookSecretsResponse],
    ) -> pb.ListWebhookSecretsResponse:
        require_grant("ListWebhookSecrets", current_caller())
        asked = request.tenant_id if may_know(current_caller(), request.tenant_id) else ""
        secrets, limits = await self._deeds.discloser.webhook_secrets(tenant_id(asked), request.tool)
        return pb.ListWebhookSecretsResponse(
            secrets=map(wire.write_webhook_secret, secrets), limits=wire.write_limits(limits)
        )

    async def GetTicketingAccess(
        self,
        request: pb.GetTicketingAccessRequest,
        context: grpc.aio.ServicerContext[pb.GetTicketingAccessRequest, pb.GetTicketingAccessResponse],
    ) -> pb.GetTicketingAccessResponse:
        require_grant("GetTicketingAccess", current_caller())
        return wire.write_access(await self._deeds.discloser.ticketing_access(TenantId(current_tenant())))

    async def RotateWebhookSecret(
        self,
        request: pb.RotateWebhookSecretRequest,
        context: grpc.aio.ServicerContext[pb.RotateWebhookSecretRequest, pb.RotateWebhookSecretResponse],
    ) -> pb.RotateWebhookSecretResponse:
        rotated = await self._deeds.changer.rotate_webhook_secret(
            named("RotateWebhookSecret", current_caller(), request.tenant_id),
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
        secret_id = await self._deeds.changer.set_credentials(
            named("SetTicketingCredentials", current_caller(), request.tenant_id),
            request.credentials,
            actor=current_actor(),
        )
        return pb.SetTicketingCredentialsResponse(secret_id=secret_id)

    async def ReencryptSecrets(
        self,
        request: pb.ReencryptSecretsRequest,
        context: grpc.aio.ServicerContext[pb.ReencryptSecretsRequest, pb.ReencryptSecretsResponse],
    ) -> pb.ReencryptSecretsResponse:
        require_grant("ReencryptSecrets", current_caller())
        tokens = PageTokens("ReencryptSecrets", tenant="")
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        size = request.page_size or DEFAULT_SIZE
        done = await reencrypt(
            self._deeds.directory, self._deeds.sealer, after=after, count=size, actor=current_actor()
        )
        return pb.ReencryptSecretsResponse(
            tenants=len(done.tenants),
            secrets=done.secrets,
            next_page_token=tokens.encode(done.tenants[-1]) if len(done.tenants) == size else "",
            key_id=done.key_id,
            unreadable=map(wire.write_unreadable, done.unreadable),
        )

    async def ListWebhookSecretVersions(
        self,
        request: pb.ListWebhookSecretVersionsRequest,
        context: grpc.aio.ServicerContext[
            pb.ListWebhookSecretVersionsRequest, pb.ListWebhookSecretVersionsResponse
        ],
    ) -> pb.ListWebhookSecretVersionsResponse:
        tenant = await self._known("ListWebhookSecretVersions", request.tenant_id)
        found = await self._deeds.directory.secret_versions(tenant, SecretKind.WEBHOOK)
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
        await record_uses(self._deeds.directory, [wire_connection.read_use(use) for use in known])
        return pb.RecordWebhookSecretUsesResponse()

    async def TestConnection(
        self,
        request: pb.TestConnectionRequest,
        context: grpc.aio.ServicerContext[pb.TestConnectionRequest, pb.TestConnectionResponse],
    ) -> pb.TestConnectionResponse:
        tenant = named("TestConnection", current_caller(), request.tenant_id)
        trial = wire_connection.read_trial(request, request_id=current_request_id() or "")
        await self._deeds.changer.record_test(tenant, trial, actor=current_actor())
        access = await self._deeds.discloser.access_to_test(tenant)
        findings = await self._deeds.tester.test(access.tenant, access.credentials, trial=trial)
        return pb.TestConnectionResponse(connection_test=wire_connection.write_test(findings))
