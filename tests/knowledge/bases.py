"""The tenants and knowledge services, and a Confluence on loopback, for tests of clients' knowledge bases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc
from pydantic import SecretStr

from dossier.knowledge.v1 import knowledge_service_pb2 as pb
from dossier.knowledge.v1.knowledge_base_pb2 import KnowledgeBaseSync
from dossier.tenants.v1.knowledge_base_pb2 import (
    KNOWLEDGE_BASE_MODE_SEARCH,
    KnowledgeBase,
    KnowledgeBaseMode,
)
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from egress.permits import Permits
from services.knowledge.settings import KnowledgeSettings
from services.runtime.serve import serving
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.knowledge.client import Client
from tests.knowledge.conftest import running_knowledge, settings_for
from tests.support.confluence import Confluence
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants import client as tenants_client

LOOPBACK = Permits.parse("127.0.0.1/32")
WAIT_SECONDS = 30.0


@dataclass(slots=True)
class World:
    operator: tenants_client.Client
    keys: Keys
    confluence: Confluence
    base_url: str
    tenants: AsyncExitStack
    """Closes the tenants service."""
    knowledge: AsyncExitStack
    """Closes the knowledge service."""
    own: KnowledgeSettings
    clients: dict[str, Client] = field(default_factory=dict)

    def client(self, tenant: str = "acme") -> Client:
        return self.clients[tenant]

    async def take_on(self, tenant: str) -> None:
        new = Tenant(id=tenant, display_name=tenant)
        new.ticketing.tool = "servicedesk_plus"
        await self.operator.create(new)

    async def set_base(
        self,
        mode: "KnowledgeBaseMode.ValueType",
        *,
        tenant: str = "acme",
        name: str = "wiki",
        credentials: Mapping[str, str] | None = None,
        **told: object,
    ) -> None:
        base = KnowledgeBase(
            name=name, connector="confluence", base_url=self.base_url, options={"spaces": "IT"}, mode=mode
        )
        base.MergeFrom(KnowledgeBase(**told))  # type: ignore[arg-type]
        await self.operator.update(tenant, Tenant(knowledge_bases=[base]), "knowledge_bases")
        own = self.confluence.credentials if credentials is None else credentials
        await self.operator.set_knowledge_credentials(tenant, name, own)

    async def add_bases(self, *names: str, tenant: str = "acme") -> None:
        """In place of those there are, all alike and searched."""
        bases = [
            KnowledgeBase(
                name=name,
                connector="confluence",
                base_url=self.base_url,
                options={"spaces": "IT"},
                mode=KNOWLEDGE_BASE_MODE_SEARCH,
            )
            for name in names
        ]
        await self.operator.update(tenant, Tenant(knowledge_bases=bases), "knowledge_bases")
        for name in names:
            await self.operator.set_knowledge_credentials(tenant, name, self.confluence.credentials)

        async def are_asked() -> bool:
            return len((await self.search("added", tenant=tenant)).knowledge_bases) == len(names)

        await until(are_asked)

    async def drop_bases(self, tenant: str = "acme") -> None:
        await self.operator.update(tenant, Tenant(), "knowledge_bases")

    async def search(
        self, subject: str, *, tenant: str = "acme", **told: object
    ) -> pb.SearchArticlesResponse:
        client = self.client(tenant)
        request = pb.SearchArticlesRequest(subject=subject, **told)  # type: ignore[arg-type]
        return await client.stub.SearchArticles(request, metadata=client.metadata)

    async def searched(self, subject: str, *, tenant: str = "acme") -> pb.SearchArticlesResponse:
        """Search until the knowledge service knows of the knowledge base."""
        found: list[pb.SearchArticlesResponse] = []

        async def look() -> bool:
            found[:] = [await self.search(subject, tenant=tenant)]
            return bool(found[0].knowledge_bases)

        await until(look)
        return found[0]

    async def syncs(self, tenant: str = "acme") -> list[KnowledgeBaseSync]:
        client = self.client(tenant)
        request = pb.ListKnowledgeBaseSyncsRequest()
        return list((await client.stub.ListKnowledgeBaseSyncs(request, metadata=client.metadata)).syncs)

    async def sync_now(self, name: str = "wiki", *, tenant: str = "acme") -> KnowledgeBaseSync:
        client = self.client(tenant)
        request = pb.SyncKnowledgeBaseRequest(knowledge_base=name)
        return (await client.stub.SyncKnowledgeBase(request, metadata=client.metadata)).sync

    async def synced(self, *, tenant: str = "acme") -> KnowledgeBaseSync:
        """Wait until the one knowledge base is synced to the end."""

        async def ended() -> bool:
            (sync,) = await self.syncs(tenant) or [KnowledgeBaseSync()]
            due = sync.due_time.ToMilliseconds()
            return not sync.running and sync.HasField("start_time") and due > sync.start_time.ToMilliseconds()

        await until(ended)
        (sync,) = await self.syncs(tenant)
        return sync

    async def titles(self, tenant: str = "acme") -> list[str]:
        page = await self.client(tenant).list_(pb.ListArticlesRequest(page_size=1000))
        return [article.title for article in page.articles]


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = WAIT_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running_world(
    settings: TenantsSettings,
    database: TestDatabase,
    keys: Keys,
    confluence: Confluence,
    base_url: str,
    **told: object,
) -> AsyncIterator[World]:
    """With the clients acme and globex; `told` goes into the settings of knowledge."""
    async with AsyncExitStack() as tenants_runs:
        tenants = await tenants_runs.enter_async_context(serving("tenants", settings, build))
        channel = await tenants_runs.enter_async_context(grpc.aio.insecure_channel(tenants.target))
        operator = tenants_client.Client(
            TenantServiceStub(channel), keys.metadata("tenants", tenant=None, role="operator", subject="cli")
        )
        own = settings_for(database, keys, tenants_target=tenants.target, permitted_networks=LOOPBACK, **told)
        async with AsyncExitStack() as knowledge_runs:
            stub = await knowledge_runs.enter_async_context(running_knowledge(own))
            world = World(operator, keys, confluence, base_url, tenants_runs, knowledge_runs, own)
            for name in ("acme", "globex"):
                await world.take_on(name)
                world.clients[name] = Client(stub, keys.metadata("knowledge", tenant=name))
            yield world


def with_redis(redis_url: str) -> dict[str, object]:
    return {"redis_url": SecretStr(redis_url), "redis_seconds": 5}
