"""Limits that a client has of its own: they come with what is asked anyway, and count within moments."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dossier.tenants.v1.tenant_pb2 import TenantLimits
from services.runtime.errors import DependencyUnavailable
from tests.gateway.test_limits import another_gateway, statuses
from tests.gateway.world import ADMIN, OPERATOR, VIEWER, World, key, running_world, sign, ticket_body
from tests.support.keys import Keys

READ = "/v1/tickets/1"


@pytest.fixture
async def world(keys: Keys, redis_url: str) -> AsyncIterator[World]:
    """Where the installation allows next to nothing."""
    async with running_world(keys, redis_url=redis_url, tenant_requests_per_minute=2) as world:
        yield world


async def test_a_clients_own_limit_counts_in_place_of_the_installations(world: World) -> None:
    world.tenants.limits["acme"] = TenantLimits(requests_per_minute=4)

    assert await statuses(world.http, 5) == [200] * 4 + [429]

    refused = await world.http.get(READ, headers=key(VIEWER))
    assert refused.json()["details"]["metadata"]["quota"] == "4"
    assert '"tenant-requests";q=4;w=60' in refused.headers["ratelimit-policy"]
    globex = world.keys.mint("gateway", tenant="globex", role="viewer")
    assert await statuses(world.http, 3, globex) == [200, 200, 429]


async def test_zero_is_no_limit_and_absent_is_the_installations(world: World) -> None:
    world.tenants.limits["acme"] = TenantLimits(requests_per_minute=0)
    world.tenants.limits["globex"] = TenantLimits(webhooks_per_minute=5)

    assert await statuses(world.http, 10) == [200] * 10
    globex = world.keys.mint("gateway", tenant="globex", role="viewer")
    assert await statuses(world.http, 3, globex) == [200, 200, 429]


async def test_they_cost_no_call_beside_that_about_the_key(world: World) -> None:
    await statuses(world.http, 2)
    body = ticket_body()
    await world.webhook(body)
    assert [name for name, _ in world.tenants.asked] == ["AuthenticateApiKey", "ListWebhookSecrets"]


async def test_for_tokens_and_for_operators_they_are_asked_once_in_a_while(world: World) -> None:
    world.tenants.limits["acme"] = TenantLimits(requests_per_minute=4)
    token = world.keys.mint("gateway", tenant="acme", role="viewer")

    assert await statuses(world.http, 3, token) == [200] * 3
    headers = {**key(OPERATOR), "X-Dossier-Tenant": "acme"}
    assert [(await world.http.get(READ, headers=headers)).status_code for _ in range(2)] == [200, 429]

    # What its limits are; and, since staff named it, whether it is there.
    assert len(world.tenants.heard("GetTenant")) == 2


async def test_what_was_known_last_counts_while_tenants_is_away(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, tenant_requests_per_minute=2, secret_cache_seconds=0.2
    ) as world:
        world.tenants.limits["acme"] = TenantLimits(requests_per_minute=4)
        acme, globex = (world.keys.mint("gateway", tenant=name, role="viewer") for name in ("acme", "globex"))
        assert await statuses(world.http, 1, acme) == [200]
        world.tenants.failure = DependencyUnavailable("postgresql", "refuses connections")
        await asyncio.sleep(0.3)

        assert await statuses(world.http, 4, acme) == [200, 200, 200, 429]
        # Nobody has said yet that there is such a client.
        assert await statuses(world.http, 2, globex) == [503, 503]


async def test_all_gateways_keep_a_changed_limit_within_two_seconds(keys: Keys, redis_url: str) -> None:
    async with (
        running_world(keys, redis_url=redis_url, tenant_requests_per_minute=3) as world,
        another_gateway(world, redis_url=redis_url, tenant_requests_per_minute=3) as other,
    ):
        assert await statuses(world.http, 3) == [200] * 3
        assert await statuses(other, 1) == [429]

        world.tenants.limits["acme"] = TenantLimits(requests_per_minute=6)
        await asyncio.sleep(2)
        # Three are used up of the six.
        assert await statuses(world.http, 2) == [200] * 2
        assert await statuses(other, 2) == [200, 429]

        world.tenants.limits["acme"] = TenantLimits(requests_per_minute=5)
        await asyncio.sleep(2)
        assert await statuses(world.http, 1) == [429]
        assert await statuses(other, 1) == [429]


async def test_a_slice_of_a_larger_limit_does_not_outlive_it(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, tenant_requests_per_minute=10_000, secret_cache_seconds=0.1
    ) as world:
        assert await statuses(world.http, 1) == [200]
        world.tenants.limits["acme"] = TenantLimits(requests_per_minute=5)
        await asyncio.sleep(0.2)
        # The hundred that the slice was are handed out, and count.
        assert await statuses(world.http, 1) == [429]


async def test_without_redis_what_was_taken_stays_taken_when_the_limit_changes(keys: Keys) -> None:
    async with running_world(keys, tenant_requests_per_minute=3, secret_cache_seconds=0.1) as world:
        assert await statuses(world.http, 3) == [200] * 3
        world.tenants.limits["acme"] = TenantLimits(requests_per_minute=5)
        await asyncio.sleep(0.2)
        assert await statuses(world.http, 3) == [200, 200, 429]


@pytest.mark.parametrize(
    ("own", "name"),
    [
        (TenantLimits(webhooks_per_minute=2), "tenant-webhooks"),
        (TenantLimits(webhook_bytes_per_minute=150), "tenant-webhook-bytes"),
    ],
)
async def test_webhooks_can_be_limited_for_one_client_alone(
    world: World, own: TenantLimits, name: str
) -> None:
    world.tenants.limits["acme"] = own
    bodies = [ticket_body(str(number)) for number in range(3)]

    answers = [await world.webhook(body) for body in bodies]

    assert [answer.status_code for answer in answers] == [202, 202, 429] or name == "tenant-webhook-bytes"
    assert answers[2].json()["details"]["metadata"]["limit"] == name
    for body in bodies:
        theirs = await world.webhook(body, tenant="globex", headers=sign(body, b"whsec_of_globex"))
        assert theirs.status_code == 202


async def test_bodies_and_rows_have_limits_of_a_clients_own_too(world: World) -> None:
    world.tenants.limits["acme"] = TenantLimits(
        requests_per_minute=0, body_bytes_per_minute=150, import_rows_per_minute=3
    )
    row = b'{"id": "1", "title": "Jams"}'
    found = [await world.http.post("/v1/tickets", content=row, headers=key()) for _ in range(4)]
    assert [each.status_code for each in found] == [200, 200, 200, 429]
    assert found[3].json()["details"]["metadata"] == {
        "limit": "tenant-import-rows",
        "quota": "3",
        "window_seconds": "60",
    }
    large = await world.http.post("/v1/tickets", content=row + b" " * 100, headers=key(ADMIN))
    assert large.json()["details"]["metadata"]["limit"] == "tenant-body-bytes"
