"""How many rows a client, and each of its keys, may import in a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import redis
from prometheus_client import REGISTRY

from cli.embedded.redis import EmbeddedRedis
from dossier.tenants.v1 import api_key_pb2
from dossier.tenants.v1.tenant_pb2 import TENANT_STATE_ACTIVE, TenantLimits
from tests.gateway.test_imports import ROUTE, line, lines, sent, taken
from tests.gateway.test_limits import another_gateway, unavailable
from tests.gateway.world import ADMIN, OPERATOR, eventually, key, running_world
from tests.support.children import running
from tests.support.keys import Keys

OF_ACME = "dossier:gateway:acme:limit:tenant-import-rows:"


async def imported(http: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    return await http.post(ROUTE, content=body, headers={**key(), **headers}, timeout=30)


async def test_gateways_share_the_rows_of_a_client_and_who_begins_with_nothing_left_is_told(
    keys: Keys, redis_url: str
) -> None:
    limits = {"redis_url": redis_url, "tenant_import_rows_per_minute": 150, "import_seconds": 1}
    async with running_world(keys, **limits) as world, another_gateway(world, **limits) as other:
        assert (await imported(world.http, lines(100))).status_code == 200
        assert (await imported(other, lines(50))).status_code == 200
        world.forget()

        refused = await imported(world.http, lines(1))

        assert refused.status_code == 429
        content = refused.json()
        assert content["reason"] == "RATE_LIMIT_EXCEEDED"
        assert content["details"]["metadata"] == {
            "limit": "tenant-import-rows",
            "quota": "150",
            "window_seconds": "60",
        }
        assert "tenant import rows: 150 a minute are used up" in content["message"]
        assert 50 < int(refused.headers["retry-after"]) <= 60
        assert '"tenant-import-rows";q=150;w=60' in refused.headers["ratelimit-policy"]
        assert '"tenant-import-rows";r=0;t=' in refused.headers["ratelimit"]
        assert world.history.asked == []
        # Other calls, and other clients, go on.
        assert (await world.http.get("/v1/tickets/1", headers=key())).status_code == 200
        globex = {"Authorization": f"Bearer {keys.mint('gateway', tenant='globex', role='admin')}"}
        assert (await imported(other, lines(50), **globex)).status_code == 200


async def test_who_is_refused_has_sent_nothing_where_it_asks_before(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_import_rows_per_minute=1) as world:
        await imported(world.http, lines(1))
        reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
        head = [f"POST {ROUTE} HTTP/1.1", "Host: x", "Content-Length: 1000000", "Expect: 100-continue"]
        writer.write("\r\n".join([*head, f"Authorization: Bearer {ADMIN}", "", ""]).encode())

        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
        writer.close()


async def test_each_key_has_rows_of_its_own(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, key_import_rows_per_minute=20) as world:
        world.tenants.keys["dsk_another"] = ("acme", api_key_pb2.ROLE_ADMIN)
        assert (await imported(world.http, lines(20))).status_code == 200
        assert (await imported(world.http, lines(1))).status_code == 429
        another = {"Authorization": "Bearer dsk_another"}
        assert (await imported(world.http, lines(20), **another)).status_code == 200


async def test_an_operators_rows_are_its_keys_and_the_clients(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, key_import_rows_per_minute=30, tenant_import_rows_per_minute=20
    ) as world:
        world.tenants.states["initech"] = TENANT_STATE_ACTIVE
        for tenant, count, status in (
            ("acme", 20, 200),
            ("acme", 1, 429),
            ("globex", 10, 200),
            ("initech", 1, 429),
        ):
            headers = {**key(OPERATOR), "X-Dossier-Tenant": tenant}
            answer = await world.http.post(ROUTE, content=lines(count), headers=headers)
            assert answer.status_code == status, tenant
        assert (await imported(world.http, lines(1))).status_code == 429


async def test_what_is_recorded_by_itself_is_a_row(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_import_rows_per_minute=2) as world:
        answers = [await world.http.post("/v1/tickets", content=line(1), headers=key()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["details"]["metadata"]["limit"] == "tenant-import-rows"
        assert len(world.history.heard("RecordTicket")) == 2
        search = await world.http.post("/v1/tickets:search", content=b'{"subject": "x"}', headers=key())
        assert search.status_code == 200


async def test_lines_that_are_no_rows_are_counted_and_blank_ones_are_not(keys: Keys, redis_url: str) -> None:
    async with running_world(keys, redis_url=redis_url, tenant_import_rows_per_minute=1000) as world:
        await imported(world.http, lines(20) + b"nonsense\n" * 30 + b"\n" * 500)
    with redis.Redis.from_url(redis_url) as client:
        # Taken in slices of ten.
        assert int(client.get(OF_ACME)) == 50


async def test_at_its_limit_an_import_waits_for_the_next_minute_and_goes_on(
    keys: Keys, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(OF_ACME, 160, px=1500)
    async with running_world(keys, redis_url=redis_url, tenant_import_rows_per_minute=199) as world:
        importing = asyncio.create_task(imported(world.http, lines(150)))
        await asyncio.sleep(0.7)
        assert not importing.done()
        assert len(world.history.ids) == 39

        answer = await importing

        assert answer.json()["created_count"] == "150"
    with redis.Redis.from_url(redis_url) as client:
        assert int(client.get(OF_ACME)) == 111


async def test_no_minute_has_more_rows_than_the_limit_however_long_the_import(
    keys: Keys, redis_url: str
) -> None:
    async with running_world(
        keys, redis_url=redis_url, tenant_import_rows_per_minute=40, import_seconds=5
    ) as world:
        answer = await imported(world.http, lines(500))

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 50
    assert len(world.history.ids) == 40
    assert world.history.streams == 0


async def test_rows_that_the_client_has_not_left_cost_the_key_nothing(keys: Keys, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(OF_ACME, 50, px=60_000)
    async with running_world(
        keys,
        redis_url=redis_url,
        tenant_import_rows_per_minute=50,
        key_import_rows_per_minute=150,
    ) as world:
        for _ in range(5):
            refused = await imported(world.http, lines(1))
            assert '"key-import-rows";r=149' in refused.headers["ratelimit"]


async def test_while_it_waits_the_gateway_reads_no_further(keys: Keys, redis_url: str) -> None:
    given = 0
    block = b"".join(line(number, description="x" * 2000) for number in range(100))

    async def rows() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(300):
            given += len(block)
            yield block

    async with running_world(keys, redis_url=redis_url, tenant_import_rows_per_minute=100) as world:
        importing = asyncio.create_task(sent(world, rows()))
        before = -1
        while given > before:
            before = given
            await asyncio.sleep(0.5)
        assert len(world.history.ids) == 100
        assert given < 20 * 1024 * 1024
        importing.cancel()
        await asyncio.gather(importing, return_exceptions=True)


async def test_without_redis_each_gateway_limits_imports_alone_and_says_so(
    keys: Keys, server_home: Path
) -> None:
    home = server_home / "imports-lost-redis"
    home.mkdir()
    server = EmbeddedRedis(home)
    async with AsyncExitStack() as closers:
        with running(server.program(), ready=server.ready, log=home / "redis.log") as child:
            world = await closers.enter_async_context(
                running_world(keys, redis_url=server.url(), tenant_import_rows_per_minute=100)
            )
            assert (await imported(world.http, lines(50))).status_code == 200
            child.kill()
            child.wait()
        before, waited = unavailable(), limited()
        assert (await imported(world.http, lines(80))).json()["created_count"] == "80"
        assert unavailable() > before

        importing = asyncio.create_task(imported(world.http, lines(80)))
        await eventually(lambda: limited() > waited)
        importing.cancel()


def limited() -> float:
    return REGISTRY.get_sample_value("dossier_gateway_limited_total", {"limit": "tenant-import-rows"}) or 0.0


async def test_a_limit_that_is_raised_is_felt_by_an_import_that_waits(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, tenant_import_rows_per_minute=50, secret_cache_seconds=0.2
    ) as world:
        before = limited()
        importing = asyncio.create_task(imported(world.http, lines(120)))
        await eventually(lambda: limited() > before)
        await taken(world, 50)

        world.tenants.limits["acme"] = TenantLimits(import_rows_per_minute=1000)

        async with asyncio.timeout(5):
            assert (await importing).json()["created_count"] == "120"
