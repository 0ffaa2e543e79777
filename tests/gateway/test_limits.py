"""Limits as those meet them who call the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import structlog
from prometheus_client import REGISTRY

from cli.embedded.redis import EmbeddedRedis
from dossier.tenants.v1 import api_key_pb2
from gateway.server import serving
from gateway.settings import GatewaySettings
from services.runtime.settings import SettingsError, load_settings
from tests.gateway.world import ADMIN, OPERATOR, VIEWER, World, key, running_world, sign, ticket_body
from tests.support.children import running
from tests.support.keys import Keys

READ = "/v1/tickets/1"


@asynccontextmanager
async def another_gateway(world: World, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(world.settings(**settings)) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
    ):
        yield http


async def statuses(http: httpx.AsyncClient, times: int, credential: str = ADMIN) -> list[int]:
    return [(await http.get(READ, headers=key(credential))).status_code for _ in range(times)]


async def test_two_gateways_share_a_clients_limit(keys: Keys, redis_url: str) -> None:
    limits = {"redis_url": redis_url, "tenant_requests_per_minute": 5}
    async with running_world(keys, **limits) as world, another_gateway(world, **limits) as other:
        assert await statuses(world.http, 3) == [200] * 3
        assert await statuses(other, 4, VIEWER) == [200, 200, 429, 429]
        assert await statuses(world.http, 1) == [429]
        globex = keys.mint("gateway", tenant="globex", role="viewer")
        assert await statuses(other, 5, globex) == [200] * 5


async def test_a_key_has_a_limit_of_its_own_which_the_clients_other_keys_do_not_feel(
    keys: Keys, redis_url: str
) -> None:
    limits = {"redis_url": redis_url, "key_requests_per_minute": 2}
    async with running_world(keys, **limits) as world, another_gateway(world, **limits) as other:
        assert await statuses(world.http, 2) == [200] * 2
        assert await statuses(other, 1) == [429]
        assert await statuses(other, 2, VIEWER) == [200] * 2


async def test_an_operators_key_is_one_key_whichever_client_it_is_for(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, key_requests_per_minute=2) as world:
        for tenant, status in (("acme", 200), ("globex", 200), ("acme", 429)):
            headers = {**key(OPERATOR), "X-Dossier-Tenant": tenant}
            assert (await world.http.get(READ, headers=headers)).status_code == status


async def test_who_is_over_is_told_what_and_when_to_come_and_nothing_is_called(
    keys: Keys, redis_url: str
) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_requests_per_minute=1) as world:
        await statuses(world.http, 1)
        world.forget()
        answer = await world.http.get(READ, headers=key())
        assert world.history.asked == []
    assert answer.status_code == 429
    content = answer.json()
    assert (content["code"], content["reason"]) == ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    assert content["request_id"] == answer.headers["x-request-id"]
    assert content["details"]["metadata"] == {
        "limit": "tenant-requests",
        "quota": "1",
        "window_seconds": "60",
    }
    assert 55 < int(answer.headers["retry-after"]) <= 60
    assert content["details"]["retry_after_seconds"] == int(answer.headers["retry-after"])


async def test_waiting_as_long_as_told_gets_through(keys: Keys, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("dossier:gateway:acme:limit:tenant-requests:", 5, px=1300)
    async with running_world(keys, redis_url=redis_url, tenant_requests_per_minute=5) as world:
        refused = await world.http.get(READ, headers=key())
        assert refused.status_code == 429
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert await statuses(world.http, 5) == [200] * 5


async def test_every_answer_says_what_is_left(keys: Keys, redis_url: str) -> None:
    limits = {
        "tenant_requests_per_minute": 10,
        "key_requests_per_minute": 3,
        "tenant_body_bytes_per_minute": 150,
        "tenant_import_rows_per_minute": 30,
        "key_import_rows_per_minute": 20,
    }
    async with running_world(keys, redis_url=redis_url, **limits) as world:
        await statuses(world.http, 1)
        answer = await world.http.post("/v1/tickets", content=b'{"id": "1"}', headers=key())
        missing = await world.http.get("/v1/tickets/code-NOT_FOUND", headers=key())
    policies, left = answer.headers["ratelimit-policy"], answer.headers["ratelimit"]
    assert policies.split(", ") == [
        '"key-requests";q=3;w=60',
        '"tenant-requests";q=10;w=60',
        '"tenant-body-bytes";q=150;w=60;qu="content-bytes"',
        '"key-import-rows";q=20;w=60',
        '"tenant-import-rows";q=30;w=60',
    ]
    assert [part.partition(";t=")[0] for part in left.split(", ")] == [
        '"key-requests";r=1',
        '"tenant-requests";r=8',
        '"tenant-body-bytes";r=139',
        '"key-import-rows";r=19',
        '"tenant-import-rows";r=29',
    ]
    assert all(55 < int(part.partition(";t=")[2]) <= 60 for part in left.split(", "))
    assert missing.status_code == 404
    assert missing.headers["ratelimit"].startswith('"key-requests";r=0;t=')


async def test_bodies_are_limited_by_their_bytes(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_body_bytes_per_minute=150) as world:
        body = b'{"id": "1", "title": "' + b"x" * 100 + b'"}'
        found = [
            (await world.http.post("/v1/tickets", content=body, headers=key())).status_code for _ in range(2)
        ]
        assert found == [200, 429]
        assert await statuses(world.http, 2) == [200, 200]


async def test_webhooks_are_not_limited_unless_somebody_wants_it(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_requests_per_minute=1) as world:
        answers = [await world.webhook(ticket_body(str(number))) for number in range(5)]
        assert {answer.status_code for answer in answers} == {202}
        assert "ratelimit" not in answers[0].headers


@pytest.mark.parametrize(
    "limits", [{"tenant_webhooks_per_minute": 2}, {"tenant_webhook_bytes_per_minute": 200}]
)
async def test_webhooks_of_one_client_are_limited_and_only_its_own_use_the_limit_up(
    keys: Keys, redis_url: str, limits: dict[str, int]
) -> None:
    bodies = [ticket_body(str(number)) for number in range(3)]
    assert 67 < len(bodies[0]) <= 100
    async with running_world(keys, redis_url=redis_url, **limits) as world:
        for _ in range(5):
            refused = await world.webhook(bodies[0], headers=sign(bodies[0], b"a guess"))
            assert refused.status_code == 401
        answers = [await world.webhook(body) for body in bodies]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].json()["reason"] == "RATE_LIMIT_EXCEEDED"
        assert int(answers[2].headers["retry-after"]) > 50
        assert len(world.orchestrator.submissions) == 2
        theirs = await world.webhook(bodies[2], tenant="globex", headers=sign(bodies[2], b"whsec_of_globex"))
        assert theirs.status_code == 202


def unavailable() -> float:
    return REGISTRY.get_sample_value("dossier_gateway_limits_unavailable_total") or 0.0


async def test_a_lost_redis_lets_reads_and_webhooks_through_and_says_so(
    keys: Keys, server_home: Path
) -> None:
    home = server_home / "gateways-lost-redis"
    home.mkdir()
    server = EmbeddedRedis(home)
    limits = {
        "key_requests_per_minute": 0,
        "tenant_requests_per_minute": 3,
        "tenant_webhooks_per_minute": 2,
        "tenant_body_bytes_per_minute": 100,
    }
    async with AsyncExitStack() as closers:
        with running(server.program(), ready=server.ready, log=home / "redis.log") as child:
            world = await closers.enter_async_context(running_world(keys, redis_url=server.url(), **limits))
            assert await statuses(world.http, 2) == [200] * 2
            child.kill()
            child.wait()
            before = unavailable()
            with structlog.testing.capture_logs() as said:
                assert await statuses(world.http, 10) == [200] * 10
                answers = [await world.webhook(ticket_body(str(number))) for number in range(5)]
                assert {answer.status_code for answer in answers} == {202}
            # A slice is one here: nothing was left of what Redis had given.
            assert unavailable() == before + 15
            # What is written in bulk each gateway counts alone.
            body = b'{"id": "1", "title": "' + b"x" * 50 + b'"}'
            written = [await world.http.post("/v1/tickets", content=body, headers=key()) for _ in range(2)]
            assert [each.status_code for each in written] == [200, 429]
            assert [each["event"] for each in said if "limits" in each["event"]] == ["limits_unavailable"]
            assert (await world.http.get("/readyz")).status_code == 200
        async with httpx.AsyncClient() as scraper:
            metrics = (await scraper.get(f"{world.gateway.metrics_url}/metrics")).text
        assert "dossier_gateway_limits_unavailable_total" in metrics

        with running(server.program(), ready=server.ready, log=home / "redis.log"):
            with structlog.testing.capture_logs() as said:
                async with asyncio.timeout(20):
                    while 429 not in await statuses(world.http, 1):
                        pass
            assert [each["event"] for each in said if "limits" in each["event"]] == ["limits_available"]


async def test_a_redis_that_was_never_there_costs_neither_start_nor_readiness(
    keys: Keys, tmp_path: Path
) -> None:
    url = f"unix://{tmp_path}/nothing.sock"
    async with running_world(keys, redis_url=url, tenant_requests_per_minute=1) as world:
        assert await statuses(world.http, 5) == [200] * 5
        assert (await world.http.get("/readyz")).status_code == 200


async def test_counted_is_under_the_clients_name_and_never_a_key(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url) as world:
        world.tenants.keys["dsk_a_private_one"] = ("acme", api_key_pb2.ROLE_VIEWER)
        await statuses(world.http, 2)
        await statuses(world.http, 1, "dsk_a_wrong_one")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        names = set(client.keys())
        assert names == {
            "dossier:gateway:acme:limit:tenant-requests:",
            "dossier:gateway:acme:limit:key-requests:id-of-admin",
            "dossier:gateway:-:limit:address-failures:127.0.0.1",
        }
        assert all(0 < client.ttl(name) <= 60 for name in names)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "https://user:hunter2@cache"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TENANT_REQUESTS_PER_MINUTE", "-1"),
    ],
)
def test_a_wrong_setting_is_named_and_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, keys: Keys, name: str, value: str
) -> None:
    for variable, content in {**keys.environment, f"DOSSIER_GATEWAY_{name}": value}.items():
        monkeypatch.setenv(variable, content)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings(GatewaySettings)
    assert "hunter2" not in str(refused.value)
