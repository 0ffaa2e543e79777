"""History, whose changes are recorded, and tenants, which keeps the log: as they run, together or alone."""

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from pydantic import SecretStr

from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from dossier.tenants.v1.audit_pb2 import AuditEvent
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.history.service import build as build_history
from services.history.settings import HistorySettings
from services.runtime.database import Database
from services.runtime.serve import serving
from services.tenants.service import build as build_tenants
from services.tenants.settings import TenantsSettings
from tests.history.client import Client as HistoryClient
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client as TenantsClient
from tests.tenants.client import tenant

if TYPE_CHECKING:
    import asyncpg

    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

KEY: Final = "0190a0b0-0000-7000-8000-00000000acce"
"""The API key on whose behalf the gateway calls."""
REQUEST: Final = "request-of-the-test"
_SECONDS: Final = 30.0
_KEY_ENCRYPTION_KEY: Final = b64encode(os.urandom(32)).decode()
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class World:
    database: TestDatabase
    keys: Keys
    port: int
    """Of the tenants service, whenever it is there."""
    admin: "asyncpg.Connection[asyncpg.Record]"

    @asynccontextmanager
    async def tenants(self, *clients: str) -> AsyncIterator[TenantsClient]:
        """Run it, and take these clients on where they are not there."""
        settings = TenantsSettings(
            grpc_port=self.port,
            metrics_port=0,
            drain_seconds=0.1,
            database_url=SecretStr(self.database.url("tenants")),
            token_jwks_file=self.keys.jwks_file,
            token_signing_key_file=self.keys.signing_key_file,
            key_encryption_key=SecretStr(_KEY_ENCRYPTION_KEY),
        )
        async with (
            serving("tenants", settings, build_tenants) as running,
            grpc.aio.insecure_channel(running.target) as channel,
        ):
            operator = self.keys.metadata("tenants", tenant=None, role="operator", subject="cli")
            client = TenantsClient(TenantServiceStub(channel), operator)
            for name in clients:
                await client.create(tenant(name), request_id=name)
            yield client

    @asynccontextmanager
    async def history(self) -> AsyncIterator[Callable[[str], HistoryClient]]:
        """Run it; gives a caller for a client."""
        settings = HistorySettings(
            grpc_port=0,
            metrics_port=0,
            drain_seconds=0.1,
            database_url=SecretStr(self.database.url("history")),
            token_jwks_file=self.keys.jwks_file,
            token_signing_key_file=self.keys.signing_key_file,
            tenants_target=f"127.0.0.1:{self.port}",
            tenants_seconds=1,
        )
        async with (
            serving("history", settings, build_history) as running,
            grpc.aio.insecure_channel(running.target) as channel,
        ):
            stub = HistoryServiceStub(channel)

            def acting_for(tenant: str) -> HistoryClient:
                own = self.keys.metadata(
                    "history", tenant=tenant, role="admin", subject="gateway", on_behalf_of=KEY
                )
                return HistoryClient(stub, (*own, ("x-request-id", REQUEST)))

            yield acting_for

    @asynccontextmanager
    async def histories_database(self) -> AsyncIterator[Database]:
        database = Database.lazy(self.database.url("history"), role="dossier_history")
        yield database
        await database.close()

    @asynccontextmanager
    async def reporting(self) -> "AsyncIterator[TenantServiceAsyncStub]":
        """The way to tenants, without a token: whoever uses it brings one."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield TenantServiceStub(channel)

    async def waiting(self) -> int:
        count: int = await self.admin.fetchval("select count(*) from history.audit_outbox")
        return count

    async def all_handed_over(self) -> None:
        async def look() -> bool:
            return await self.waiting() == 0

        await eventually(look)

    async def of_history(self, tenants: TenantsClient, name: str = "acme") -> Sequence[AuditEvent]:
        """History's events of that client, once all are handed over."""
        await self.all_handed_over()
        return [event for event in await tenants.events(name) if event.service == "history"]


async def eventually(look: Callable[[], Awaitable[Found]]) -> Found:
    async with asyncio.timeout(_SECONDS):
        while not (found := await look()):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    return found
