"""A change of a client is effective within two seconds: by notice, and without Redis all the same."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import grpc
import httpx
import pytest
import redis
from pydantic import SecretStr

from cli.embedded.redis import EmbeddedRedis
from dossier.tenants.v1.tenant_pb2 import BriefSettings, Tenant
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from gateway.server import serving as gateway_serving
from gateway.settings import GatewaySettings
from services.runtime.serve import serving
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.children import running
from tests.support.keys import Keys
from tests.tenants.client import CREDENTIALS, TOOL, Client, tenant

EFFECTIVE_SECONDS = 2.0
AN_HOUR = 3600.0
BODY = b"{"


@dataclass(frozen=True, slots=True)
class Mesh:
    operator: Client
    http: httpx.AsyncClient

    async def reads_with(self, api_key: str) -> bool:
        answer = await self.http.get("/v1/tenants/acme", headers={"Authorization": f"Bearer {api_key}"})
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == 200

    async def takes_webhooks_signed_with(self, secret: str) -> bool:
        """Past the signature the body is looked at, and refused for what it is."""
        signature = hmac.new(secret.encode(), BODY, sha256).hexdigest()
        headers = {"X-ServiceDesk-Signature": f"sha256={signature}"}
        answer = await self.http.post(f"/webhooks/acme/{TOOL}", content=BODY, headers=headers)
        assert answer.status_code in {400, 401}, answer.text
        return answer.status_code == 400


@asynccontextmanager
async def mesh(
    settings: TenantsSettings, keys: Keys, *, redis_url: str, cache_seconds: float
) -> AsyncIterator[Mesh]:
    """The tenants service and a gateway that believes it for so long."""
    async with AsyncExitStack() as closers:
        shared = {"redis_url": SecretStr(redis_url), "redis_seconds": 5.0}
        tenants = await closers.enter_async_context(
            serving("tenants", settings.model_copy(update=shared), build)
        )
        targets = ("orchestrator", "history", "knowledge", "network", "synthesis")
        gateway = await closers.enter_async_context(
            gateway_serving(
                GatewaySettings.model_validate(
                    {
                        **{f"{name}_target": "localhost:1" for name in targets},
                        "tenants_target": tenants.target,
                        "http_port": 0,
                        "metrics_port": 0,
                        "token_jwks_file": keys.jwks_file,
                        "token_signing_key_file": keys.signing_key_file,
                        "secret_cache_seconds": cache_seconds,
                        "address_failures_per_minute": 0,
                        **shared,
                    }
                )
            )
        )
        channel = await closers.enter_async_context(grpc.aio.insecure_channel(tenants.target))
        http = await closers.enter_async_context(httpx.AsyncClient(base_url=gateway.url, timeout=20))
        operator = Client(
            TenantServiceStub(channel), keys.metadata("tenants", tenant=None, role="operator", subject="cli")
        )
        yield Mesh(operator, http)


@pytest.fixture
async def believing(settings: TenantsSettings, keys: Keys, redis_url: str) -> AsyncIterator[Mesh]:
    """Without a notice nothing would change for an hour."""
    async with mesh(settings, keys, redis_url=redis_url, cache_seconds=AN_HOUR) as running_mesh:
        with redis.Redis.from_url(redis_url) as client:
            await until(lambda: listeners(client, 1), within=20)
        yield running_mesh


async def listeners(client: redis.Redis, count: int) -> bool:
    return dict(client.pubsub_numsub("dossier:tenants:changes")).get(b"dossier:tenants:changes") == count


async def until(holds: Callable[[], Awaitable[bool]], *, within: float = EFFECTIVE_SECONDS) -> None:
    deadline = time.monotonic() + within
    while not await holds():
        assert time.monotonic() < deadline, f"not within {within:g} s"
        await asyncio.sleep(0.02)


async def never(holds: Callable[[], Awaitable[bool]]) -> bool:
    return not await holds()


async def test_a_revoked_key_and_a_suspended_client_are_refused_at_once(believing: Mesh) -> None:
    created = await believing.operator.create()
    other = await believing.operator.create_key("acme")
    assert await believing.reads_with(created.api_key)
    assert await believing.reads_with(other.api_key)
    assert await believing.takes_webhooks_signed_with(created.webhook_secret)

    await believing.operator.revoke("acme", other.key.id)
    await until(lambda: never(lambda: believing.reads_with(other.api_key)))
    assert await believing.reads_with(created.api_key)

    await believing.operator.suspend("acme")
    await until(lambda: never(lambda: believing.reads_with(created.api_key)))
    await until(lambda: never(lambda: believing.takes_webhooks_signed_with(created.webhook_secret)))

    await believing.operator.resume("acme")
    await until(lambda: believing.reads_with(created.api_key))
    await until(lambda: believing.takes_webhooks_signed_with(created.webhook_secret))


async def test_a_rotated_secret_counts_at_once_and_the_one_before_it_no_more(believing: Mesh) -> None:
    created = await believing.operator.create()
    assert await believing.takes_webhooks_signed_with(created.webhook_secret)

    rotated = await believing.operator.rotate("acme", overlap=timedelta(0))

    await until(lambda: believing.takes_webhooks_signed_with(rotated.webhook_secret))
    assert not await believing.takes_webhooks_signed_with(created.webhook_secret)


async def test_a_client_that_was_asked_for_before_it_was_there_is_served_at_once(believing: Mesh) -> None:
    assert not await believing.takes_webhooks_signed_with("whatever")

    created = await believing.operator.create()

    await until(lambda: believing.takes_webhooks_signed_with(created.webhook_secret))


async def test_what_is_said_is_the_clients_name_and_nothing_else(believing: Mesh, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client, client.pubsub() as hearing:
        hearing.psubscribe("*")
        assert hearing.get_message(timeout=5) is not None

        await believing.operator.create()
        await believing.operator.update("acme", Tenant(brief=BriefSettings(model="m")), "brief.model")
        await believing.operator.set_credentials("acme", CREDENTIALS)
        await believing.operator.rotate("acme")
        await believing.operator.create_key("acme")
        # What changes nothing is nothing to tell of.
        await believing.operator.update("acme", Tenant(brief=BriefSettings(model="m")), "brief.model")
        await believing.operator.update(
            "acme", Tenant(brief=BriefSettings(model="n")), "brief.model", validate_only=True
        )
        await believing.operator.create(tenant("globex"))

        said = []
        while (message := hearing.get_message(timeout=1)) is not None:
            said.append((message["channel"], message["data"]))
    assert said == [("dossier:tenants:changes", "acme")] * 5 + [("dossier:tenants:changes", "globex")]


async def test_without_redis_the_caches_short_life_is_enough(
    settings: TenantsSettings, keys: Keys, server_home: Path
) -> None:
    away = EmbeddedRedis(server_home / "never-started")
    async with mesh(settings, keys, redis_url=away.url(), cache_seconds=EFFECTIVE_SECONDS) as believing:
        created = await believing.operator.create()
        assert await believing.reads_with(created.api_key)
        assert await believing.takes_webhooks_signed_with(created.webhook_secret)

        await believing.operator.suspend("acme")

        # Read a moment before the change, it is believed for all of its two seconds.
        await until(
            lambda: never(lambda: believing.reads_with(created.api_key)), within=EFFECTIVE_SECONDS + 0.5
        )
        await until(
            lambda: never(lambda: believing.takes_webhooks_signed_with(created.webhook_secret)), within=0.5
        )


async def test_notices_come_again_once_redis_is_back(
    settings: TenantsSettings, keys: Keys, server_home: Path, tmp_path: Path
) -> None:
    home = server_home / "notices-redis"
    home.mkdir()
    server = EmbeddedRedis(home)
    log = tmp_path / "redis.log"
    async with AsyncExitStack() as closers:
        with running(server.program(), ready=server.ready, log=log):
            believing = await closers.enter_async_context(
                mesh(settings, keys, redis_url=server.url(), cache_seconds=AN_HOUR)
            )
            created = await believing.operator.create()
            await until(lambda: believing.reads_with(created.api_key), within=20)
        # Nobody hears of this.
        await believing.operator.suspend("acme")
        with running(server.program(), ready=server.ready, log=log):
            # What was said meanwhile is unknown: all is asked for anew.
            await until(lambda: never(lambda: believing.reads_with(created.api_key)), within=20)
            await believing.operator.resume("acme")
            await until(lambda: believing.reads_with(created.api_key), within=5)
