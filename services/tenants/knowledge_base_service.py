"""The RPCs about clients' own knowledge bases: credentials, and what the knowledge service needs."""

from typing import Final

import grpc

from audit.event import current_actor
from dossier.tenants.v1 import tenant_service_pb2 as pb
from services.runtime.caller import current_caller, current_tenant
from services.runtime.paging import PageTokens
from services.tenants import wire, wire_knowledge_bases
from services.tenants.access import named, require_grant
from services.tenants.disclose import Discloser
from services.tenants.knowledge_credentials import KnowledgeCredentials
from services.tenants.model import TenantId
from services.tenants.retrieval_service import RetrievalServicer
from services.tenants.sealing import Sealer
from services.tenants.store import Directory

_CLIENTS_AT_ONCE: Final = 1000


class KnowledgeBaseServicer(RetrievalServicer):
    """What remains of the contract is that of those who inherit."""

    def __init__(self, directory: Directory, sealer: Sealer) -> None:
        super().__init__(directory)
        self._discloser = Discloser(directory, sealer)
        self._knowledge_credentials = KnowledgeCredentials(directory, sealer)

    async def SetKnowledgeBaseCredentials(
        self,
        request: pb.SetKnowledgeBaseCredentialsRequest,
        context: grpc.aio.ServicerContext[
            pb.SetKnowledgeBaseCredentialsRequest, pb.SetKnowledgeBaseCredentialsResponse
        ],
    ) -> pb.SetKnowledgeBaseCredentialsResponse:
        secret_id = await self._knowledge_credentials.set(
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
        access = await self._discloser.knowledge_base_access(TenantId(current_tenant()))
        return wire_knowledge_bases.write_access(access)

    async def ListKnowledgeBases(
        self,
        request: pb.ListKnowledgeBasesRequest,
        context: grpc.aio.ServicerContext[pb.ListKnowledgeBasesRequest, pb.ListKnowledgeBasesResponse],
    ) -> pb.ListKnowledgeBasesResponse:
        require_grant("ListKnowledgeBases", current_caller())
        tokens = PageTokens("ListKnowledgeBases", tenant="")
        size = request.page_size or _CLIENTS_AT_ONCE
        after = wire.tenant_of_page(tokens.decode(request.page_token))
        found = await self._directory.knowledge_bases_after(after, size + 1)
        page = found[:size]
        return pb.ListKnowledgeBasesResponse(
            tenants=[wire_knowledge_bases.write_of_tenant(tenant, bases) for tenant, bases in page],
            next_page_token=tokens.encode(page[-1][0]) if len(found) > size else "",
        )
