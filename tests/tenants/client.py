"""What the tests say to the tenants service, in one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import BriefSettings, ContextSource, Tenant, TicketingConnection

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

TOOL = "servicedesk_plus"
CREDENTIALS = {"authtoken": "0F-canary-credential"}


def tenant(tenant_id: str = "acme", *, tool: str = TOOL) -> Tenant:
    return Tenant(
        id=tenant_id,
        display_name="Acme Freight",
        ticketing=TicketingConnection(
            tool=tool, base_url="https://desk.acme.example", options={"portal": "itdesk"}
        ),
        brief=BriefSettings(language="nl", model="gpt-5-mini", max_words=300),
        sources=[ContextSource(name="monitoring", target="monitoring.acme.example:443", deadline_ms=3000)],
    )


@dataclass(frozen=True, slots=True)
class Client:
    stub: "TenantServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]

    async def create(
        self,
        new: Tenant | None = None,
        *,
        credentials: Mapping[str, str] = CREDENTIALS,
        request_id: str = "",
    ) -> pb.CreateTenantResponse:
        request = pb.CreateTenantRequest(
            tenant=new or tenant(), ticketing_credentials=credentials, request_id=request_id
        )
        return await self.stub.CreateTenant(request, metadata=self.metadata)

    async def get(self, tenant_id: str) -> Tenant:
        request = pb.GetTenantRequest(tenant_id=tenant_id)
        return (await self.stub.GetTenant(request, metadata=self.metadata)).tenant

    async def list_all(self, *, page_size: int = 0, page_token: str = "") -> pb.ListTenantsResponse:
        request = pb.ListTenantsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListTenants(request, metadata=self.metadata)

    async def webhook_secrets(self, tenant_id: str, tool: str = TOOL) -> list[pb.WebhookSecret]:
        request = pb.ListWebhookSecretsRequest(tenant_id=tenant_id, tool=tool)
        return list((await self.stub.ListWebhookSecrets(request, metadata=self.metadata)).secrets)

    async def ticketing_access(self) -> pb.GetTicketingAccessResponse:
        return await self.stub.GetTicketingAccess(pb.GetTicketingAccessRequest(), metadata=self.metadata)

    async def authenticate(self, api_key: str) -> pb.AuthenticateApiKeyResponse:
        request = pb.AuthenticateApiKeyRequest(api_key=api_key)
        return await self.stub.AuthenticateApiKey(request, metadata=self.metadata)
