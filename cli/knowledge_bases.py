"""A client's knowledge bases, as several verbs read and change them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.errors import DossierError
from cli.instance import Instance
from cli.rpc import calling
from cli.tenancy import asking_tenants, tenant_or_only
from dossier.knowledge.v1.knowledge_service_pb2 import DESCRIPTOR
from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.knowledge_base_pb2 import KnowledgeBase
from dossier.tenants.v1.tenant_pb2 import Tenant

if TYPE_CHECKING:
    from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceAsyncStub

Change = Callable[[list[KnowledgeBase]], Sequence[KnowledgeBase]]

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The knowledge base's name.")]

_SERVICES: Final = [DESCRIPTOR.services_by_name["KnowledgeService"]]


@asynccontextmanager
async def asking_knowledge(instance: Instance, client: str) -> AsyncIterator["KnowledgeServiceAsyncStub"]:
    async with calling(instance, "knowledge", descriptors=_SERVICES, tenant=client) as channel:
        yield KnowledgeServiceStub(channel)


@dataclass(frozen=True, slots=True)
class OfClient:
    instance: Instance
    client: str

    @classmethod
    async def of(cls, instance: Instance, tenant: str | None) -> "OfClient":
        return cls(instance, await tenant_or_only(instance, tenant))

    async def all(self) -> list[KnowledgeBase]:
        async with asking_tenants(self.instance) as tenants:
            found = await tenants.GetTenant(pb.GetTenantRequest(tenant_id=self.client))
        return list(found.tenant.knowledge_bases)

    async def change(self, change: Change) -> None:
        async with asking_tenants(self.instance) as tenants:
            now = (await tenants.GetTenant(pb.GetTenantRequest(tenant_id=self.client))).tenant
            wanted = Tenant(knowledge_bases=change(list(now.knowledge_bases)))
            request = pb.UpdateTenantRequest(tenant_id=self.client, tenant=wanted, etag=now.etag)
            request.update_mask.paths.append("knowledge_bases")
            await tenants.UpdateTenant(request)

    async def set_credentials(self, name: str, credentials: dict[str, str]) -> None:
        request = pb.SetKnowledgeBaseCredentialsRequest(
            tenant_id=self.client, knowledge_base=name, credentials=credentials
        )
        async with asking_tenants(self.instance) as tenants:
            await tenants.SetKnowledgeBaseCredentials(request)


def named(name: str, bases: Sequence[KnowledgeBase]) -> KnowledgeBase:
    found = next((each for each in bases if each.name == name), None)
    if found is None:
        raise DossierError(
            f"The client has no knowledge base {name}.",
            hint="`dossier knowledge-base list` shows those it has.",
        )
    return found
