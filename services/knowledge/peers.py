"""What the tenants service says of clients' knowledge bases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.knowledge_base_pb2 import KnowledgeBase
from services.runtime.caller import acting_for

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

SUBJECT: Final = "knowledge"
_NOT_SERVED: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION})


class NotServed(Exception):
    """The client is suspended or gone."""


class AccessUnknown(Exception):
    """The tenants service is away; `message` is for a reader."""

    message: Final = "its settings could not be read: the tenants service does not answer"


@dataclass(frozen=True, slots=True)
class TenantsPeer:
    stub: "TenantServiceAsyncStub"
    seconds: float

    async def knowledge_bases(self) -> Mapping[str, Sequence[KnowledgeBase]]:
        """Of all clients that have some."""
        found: dict[str, Sequence[KnowledgeBase]] = {}
        request = pb.ListKnowledgeBasesRequest()
        while True:
            page = await self.stub.ListKnowledgeBases(request, timeout=self.seconds)
            found |= {each.tenant_id: each.knowledge_bases for each in page.tenants}
            if not page.next_page_token:
                return found
            request = pb.ListKnowledgeBasesRequest(page_token=page.next_page_token)

    async def access(self, tenant: str) -> pb.GetKnowledgeBaseAccessResponse:
        """Raises `NotServed` and `AccessUnknown`."""
        # In the service's own name: whoever searches may not have the credentials.
        with acting_for(tenant, subject=SUBJECT):
            try:
                return await self.stub.GetKnowledgeBaseAccess(
                    pb.GetKnowledgeBaseAccessRequest(), timeout=self.seconds
                )
            except grpc.aio.AioRpcError as error:
                if error.code() in _NOT_SERVED:
                    raise NotServed from error
                raise AccessUnknown(error.code().name) from error
