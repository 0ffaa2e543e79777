"""What the tests say to the tenants service, in one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask

from dossier.tenants.v1 import api_key_pb2
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.audit_pb2 import AuditEvent, FieldChange, ReportedEvent
from dossier.tenants.v1.connection_test_pb2 import ConnectionTest
from dossier.tenants.v1.knowledge_base_pb2 import KNOWLEDGE_BASE_MODE_SYNC, KnowledgeBase
from dossier.tenants.v1.retrieval_pb2 import (
    EVALUATED_KIND_TICKETS,
    EVALUATION_BASIS_OWN_TICKETS,
    RetrievalEvaluation,
    RetrievalMeasure,
)
from dossier.tenants.v1.tenant_deletion_pb2 import TenantDeletion
from dossier.tenants.v1.tenant_pb2 import BriefSettings, ContextSource, Retention, Tenant, TicketingConnection
from dossier.tenants.v1.webhook_secret_version_pb2 import WebhookSecretVersion
from tests.support.leaks import CANARY

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

TOOL = "servicedesk_plus"
CREDENTIALS = {"authtoken": f"{CANARY}-credential"}


def tenant(tenant_id: str = "acme", *, tool: str = TOOL) -> Tenant:
    return Tenant(
        id=tenant_id,
        display_name="Acme Freight",
        ticketing=TicketingConnection(
            tool=tool, base_url="https://desk.acme.example", options={"portal": "itdesk"}
        ),
        brief=BriefSettings(language="nl", model="gpt-5-mini", max_words=300),
        sources=[ContextSource(name="monitoring", target="monitoring.acme.example:443", deadline_ms=3000)],
        retention=Retention(ticket_days=365, run_days=30, ledger_days=400, audit_days=730),
        knowledge_bases=[knowledge_base()],
    )


def knowledge_base(named: str = "wiki", **told: object) -> KnowledgeBase:
    base = KnowledgeBase(
        name=named,
        connector="confluence",
        base_url="https://acme.atlassian.example/wiki",
        options={"spaces": "IT"},
        mode=KNOWLEDGE_BASE_MODE_SYNC,
    )
    base.MergeFrom(KnowledgeBase(**told))  # type: ignore[arg-type]
    return base


def reported(**told: object) -> ReportedEvent:
    """As history reports a ticket's deletion, a day later."""
    event = ReportedEvent(
        event_id=str(uuid4()),
        principal="key-7",
        subject="gateway",
        role="admin",
        action="DeleteTicket",
        resource="tickets/import/1",
        changes=[FieldChange(field="title", before='"VPN drops"')],
        request_id="request-7",
    )
    event.create_time.FromDatetime(datetime.now(UTC) - timedelta(days=1))
    event.MergeFrom(ReportedEvent(**told))  # type: ignore[arg-type]
    return event


def measured(**told: object) -> RetrievalEvaluation:
    """As the command measures it on a client's own tickets."""
    evaluation = RetrievalEvaluation(
        kind=EVALUATED_KIND_TICKETS,
        basis=EVALUATION_BASIS_OWN_TICKETS,
        query_count=120,
        unanswerable_count=40,
        meaning_share=0.5,
        floor=0.2,
        measures=[RetrievalMeasure(name="ndcg_at_10", mean=0.7, low=0.6, high=0.8)],
    )
    evaluation.MergeFrom(RetrievalEvaluation(**told))  # type: ignore[arg-type]
    return evaluation


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
        test: bool = False,
    ) -> pb.CreateTenantResponse:
        request = pb.CreateTenantRequest(
            tenant=new or tenant(),
            ticketing_credentials=credentials,
            request_id=request_id,
            skip_connection_test=not test,
        )
        return await self.stub.CreateTenant(request, metadata=self.metadata)

    async def get(self, tenant_id: str) -> Tenant:
        request = pb.GetTenantRequest(tenant_id=tenant_id)
        return (await self.stub.GetTenant(request, metadata=self.metadata)).tenant

    async def list_all(self, *, page_size: int = 0, page_token: str = "") -> pb.ListTenantsResponse:
        request = pb.ListTenantsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListTenants(request, metadata=self.metadata)

    async def webhook_secrets(self, tenant_id: str, tool: str = TOOL) -> list[pb.WebhookSecret]:
        return list((await self.live_secrets(tenant_id, tool)).secrets)

    async def live_secrets(self, tenant_id: str, tool: str = TOOL) -> pb.ListWebhookSecretsResponse:
        request = pb.ListWebhookSecretsRequest(tenant_id=tenant_id, tool=tool)
        return await self.stub.ListWebhookSecrets(request, metadata=self.metadata)

    async def ticketing_access(self) -> pb.GetTicketingAccessResponse:
        return await self.stub.GetTicketingAccess(pb.GetTicketingAccessRequest(), metadata=self.metadata)

    async def queue_shares(self, *, page_size: int = 0, page_token: str = "") -> pb.ListQueueSharesResponse:
        request = pb.ListQueueSharesRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListQueueShares(request, metadata=self.metadata)

    async def retrieval_settings(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListRetrievalSettingsResponse:
        request = pb.ListRetrievalSettingsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListRetrievalSettings(request, metadata=self.metadata)

    async def record_evaluation(
        self, tenant_id: str, evaluation: RetrievalEvaluation | None = None, *, request_id: str = ""
    ) -> RetrievalEvaluation:
        request = pb.RecordRetrievalEvaluationRequest(
            tenant_id=tenant_id, evaluation=evaluation or measured(), request_id=request_id
        )
        return (await self.stub.RecordRetrievalEvaluation(request, metadata=self.metadata)).evaluation

    async def evaluations(
        self, tenant_id: str, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListRetrievalEvaluationsResponse:
        request = pb.ListRetrievalEvaluationsRequest(
            tenant_id=tenant_id, page_size=page_size, page_token=page_token
        )
        return await self.stub.ListRetrievalEvaluations(request, metadata=self.metadata)

    async def update(
        self,
        tenant_id: str,
        new: Tenant,
        *paths: str,
        etag: str = "",
        validate_only: bool = False,
    ) -> pb.UpdateTenantResponse:
        request = pb.UpdateTenantRequest(
            tenant_id=tenant_id,
            tenant=new,
            update_mask=FieldMask(paths=paths),
            etag=etag,
            validate_only=validate_only,
        )
        return await self.stub.UpdateTenant(request, metadata=self.metadata)

    async def suspend(self, tenant_id: str) -> Tenant:
        request = pb.SuspendTenantRequest(tenant_id=tenant_id)
        return (await self.stub.SuspendTenant(request, metadata=self.metadata)).tenant

    async def resume(self, tenant_id: str) -> Tenant:
        request = pb.ResumeTenantRequest(tenant_id=tenant_id)
        return (await self.stub.ResumeTenant(request, metadata=self.metadata)).tenant

    async def rotate(
        self, tenant_id: str, *, overlap: timedelta | None = None, request_id: str = ""
    ) -> pb.RotateWebhookSecretResponse:
        request = pb.RotateWebhookSecretRequest(tenant_id=tenant_id, request_id=request_id or str(uuid4()))
        if overlap is not None:
            request.overlap.FromTimedelta(overlap)
        return await self.stub.RotateWebhookSecret(request, metadata=self.metadata)

    async def set_credentials(self, tenant_id: str, credentials: Mapping[str, str]) -> str:
        request = pb.SetTicketingCredentialsRequest(tenant_id=tenant_id, credentials=credentials)
        return (await self.stub.SetTicketingCredentials(request, metadata=self.metadata)).secret_id

    async def reencrypt(self, *, page_size: int = 0, page_token: str = "") -> pb.ReencryptSecretsResponse:
        request = pb.ReencryptSecretsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ReencryptSecrets(request, metadata=self.metadata)

    async def create_key(
        self,
        tenant_id: str,
        role: "api_key_pb2.Role.ValueType" = api_key_pb2.ROLE_VIEWER,
        *,
        display_name: str = "",
        expire_time: datetime | None = None,
        request_id: str = "",
    ) -> pb.CreateApiKeyResponse:
        request = pb.CreateApiKeyRequest(
            tenant_id=tenant_id,
            role=role,
            display_name=display_name,
            request_id=request_id or str(uuid4()),
        )
        if expire_time is not None:
            request.expire_time.FromDatetime(expire_time)
        return await self.stub.CreateApiKey(request, metadata=self.metadata)

    async def keys(self, tenant_id: str) -> list[api_key_pb2.ApiKey]:
        return list((await self.keys_page(tenant_id, page_size=1000)).keys)

    async def keys_page(
        self, tenant_id: str, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListApiKeysResponse:
        request = pb.ListApiKeysRequest(tenant_id=tenant_id, page_size=page_size, page_token=page_token)
        return await self.stub.ListApiKeys(request, metadata=self.metadata)

    async def revoke(self, tenant_id: str, key_id: str) -> api_key_pb2.ApiKey:
        request = pb.RevokeApiKeyRequest(tenant_id=tenant_id, key_id=key_id)
        return (await self.stub.RevokeApiKey(request, metadata=self.metadata)).key

    async def create_operator_key(
        self,
        role: "api_key_pb2.Role.ValueType" = api_key_pb2.ROLE_OPERATOR,
        *,
        display_name: str = "",
        expire_time: datetime | None = None,
        request_id: str = "",
    ) -> pb.CreateOperatorKeyResponse:
        request = pb.CreateOperatorKeyRequest(
            role=role, display_name=display_name, request_id=request_id or str(uuid4())
        )
        if expire_time is not None:
            request.expire_time.FromDatetime(expire_time)
        return await self.stub.CreateOperatorKey(request, metadata=self.metadata)

    async def operator_keys(self) -> list[api_key_pb2.ApiKey]:
        return list((await self.operator_keys_page(page_size=1000)).keys)

    async def operator_keys_page(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListOperatorKeysResponse:
        request = pb.ListOperatorKeysRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListOperatorKeys(request, metadata=self.metadata)

    async def revoke_operator_key(self, key_id: str) -> api_key_pb2.ApiKey:
        request = pb.RevokeOperatorKeyRequest(key_id=key_id)
        return (await self.stub.RevokeOperatorKey(request, metadata=self.metadata)).key

    async def operator_events(self) -> list[AuditEvent]:
        return list((await self.operator_events_page(page_size=100)).events)

    async def operator_events_page(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListOperatorAuditEventsResponse:
        request = pb.ListOperatorAuditEventsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListOperatorAuditEvents(request, metadata=self.metadata)

    async def verify_operator_log(self, *, known_hash: str = "") -> pb.VerifyOperatorAuditLogResponse:
        request = pb.VerifyOperatorAuditLogRequest(known_hash=known_hash)
        return await self.stub.VerifyOperatorAuditLog(request, metadata=self.metadata)

    async def events(self, tenant_id: str) -> list[AuditEvent]:
        return list((await self.events_page(tenant_id, page_size=100)).events)

    async def events_page(
        self, tenant_id: str, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListAuditEventsResponse:
        request = pb.ListAuditEventsRequest(tenant_id=tenant_id, page_size=page_size, page_token=page_token)
        return await self.stub.ListAuditEvents(request, metadata=self.metadata)

    async def verify(self, tenant_id: str, *, known_hash: str = "") -> pb.VerifyAuditLogResponse:
        request = pb.VerifyAuditLogRequest(tenant_id=tenant_id, known_hash=known_hash)
        return await self.stub.VerifyAuditLog(request, metadata=self.metadata)

    async def delete(self, tenant_id: str, *, validate_only: bool = False) -> TenantDeletion:
        request = pb.DeleteTenantRequest(tenant_id=tenant_id, validate_only=validate_only)
        return (await self.stub.DeleteTenant(request, metadata=self.metadata)).deletion

    async def deletion(self, deletion_id: str) -> TenantDeletion:
        request = pb.GetTenantDeletionRequest(deletion_id=deletion_id)
        return (await self.stub.GetTenantDeletion(request, metadata=self.metadata)).deletion

    async def deletions(self, *, page_size: int = 0, page_token: str = "") -> pb.ListTenantDeletionsResponse:
        request = pb.ListTenantDeletionsRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListTenantDeletions(request, metadata=self.metadata)

    async def export(self, tenant_id: str) -> bytes:
        request = pb.ExportTenantRequest(tenant_id=tenant_id)
        call = self.stub.ExportTenant(request, metadata=self.metadata)
        return b"".join([part.archive async for part in call])

    async def test_connection(self, tenant_id: str, *, ticket_id: str = "") -> ConnectionTest:
        request = pb.TestConnectionRequest(tenant_id=tenant_id, ticket_id=ticket_id)
        return (await self.stub.TestConnection(request, metadata=self.metadata)).connection_test

    async def secret_versions(self, tenant_id: str) -> list[WebhookSecretVersion]:
        request = pb.ListWebhookSecretVersionsRequest(tenant_id=tenant_id)
        return list((await self.stub.ListWebhookSecretVersions(request, metadata=self.metadata)).versions)

    async def record_uses(self, *uses: tuple[str, str, datetime]) -> None:
        request = pb.RecordWebhookSecretUsesRequest()
        for tenant_id, secret_id, time in uses:
            request.uses.add(tenant_id=tenant_id, secret_id=secret_id).use_time.FromDatetime(time)
        await self.stub.RecordWebhookSecretUses(request, metadata=self.metadata)

    async def report(self, *events: ReportedEvent) -> int:
        """How many of them were not in the log of the tenant that the token names."""
        request = pb.RecordAuditEventsRequest(events=events)
        return (await self.stub.RecordAuditEvents(request, metadata=self.metadata)).recorded_count

    async def set_knowledge_credentials(
        self, tenant_id: str, name: str = "wiki", credentials: Mapping[str, str] = CREDENTIALS
    ) -> str:
        request = pb.SetKnowledgeBaseCredentialsRequest(
            tenant_id=tenant_id, knowledge_base=name, credentials=credentials
        )
        return (await self.stub.SetKnowledgeBaseCredentials(request, metadata=self.metadata)).secret_id

    async def knowledge_access(self) -> pb.GetKnowledgeBaseAccessResponse:
        request = pb.GetKnowledgeBaseAccessRequest()
        return await self.stub.GetKnowledgeBaseAccess(request, metadata=self.metadata)

    async def knowledge_bases(
        self, *, page_size: int = 0, page_token: str = ""
    ) -> pb.ListKnowledgeBasesResponse:
        request = pb.ListKnowledgeBasesRequest(page_size=page_size, page_token=page_token)
        return await self.stub.ListKnowledgeBases(request, metadata=self.metadata)

    async def authenticate(self, api_key: str) -> pb.AuthenticateApiKeyResponse:
        request = pb.AuthenticateApiKeyRequest(api_key=api_key)
        return await self.stub.AuthenticateApiKey(request, metadata=self.metadata)
