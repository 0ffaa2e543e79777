"""The RPCs about clients' own knowledge bases: credentials, and what the knowledge service needs."""

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller, current_tenant
from services.tenants import wire_knowledge_bases
from services.tenants.access import named, require_grant
from services.tenants.deeds import DeedServicer
from services.tenants.model import TenantId
from services.tenants.pages import page_of_clients


class KnowledgeBaseServicer(DeedServicer):
    async def SetKnowledgeBaseCredentials(
        self,
        request: pb.SetKnowledgeBaseCredentialsRequest,
        context: grpc.aio.ServicerContext[
            pb.SetKnowledgeBaseCredentialsRequest, pb.SetKnowledgeBaseCredentialsResponse
        ],
    ) -> pb.SetKnowledgeBaseCredentialsResponse:
        secret_id = await self._deeds.changer.knowledge_credentials.set(
            named("SetKnowledgeBaseCredentials", current_caller(), request.tenant_id),
            request.knowledge_base,
            request.credentials,
            actor=current_actor(),
        )
        return pb.SetKnowledgeBaseCredentialsResponse(secret_id=secret_id)

    async def GetKnowledgeBaseAccess(
        self,
        request: pb.GetKnowledgeBaseAccessRequest,
        context: grpc.aio.ServicerContext[
            pb.GetKnowledgeBaseAccessRequest, pb.GetKnowledgeBaseAccessResponse
        ],
    ) -> pb.GetKnowledgeBaseAccessResponse:
        require_grant("GetKnowledgeBaseAccess", current_caller())
        access = await self._deeds.discloser.knowledge_base_access(TenantId(current_tenant()))
        return wire_knowledge_bases.write_access(access)

    async def ListKnowledgeBases(
        self,
        request: pb.ListKnowledgeBasesRequest,
        context: grpc.aio.ServicerContext[pb.ListKnowledgeBasesRequest, pb.ListKnowledgeBasesResponse],
    ) -> pb.ListKnowledgeBasesResponse:
        require_grant("ListKnowledgeBases", current_caller())
        page, following = await page_of_clients(
            "ListKnowledgeBases", request, self._deeds.directory.knowledge_bases_after
        )
        return pb.ListKnowledgeBasesResponse(
            tenants=[wire_knowledge_bases.write_of_tenant(tenant, bases) for tenant, bases in page],
            next_page_token=following,
        )
