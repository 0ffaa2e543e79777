"""Which secret webhooks come with reaches the tenants service, behind their backs."""

import time
from datetime import UTC, datetime

import grpc
import httpx

from dossier.tenants.v1 import tenant_service_pb2 as tenants
from gateway.mesh import SUBJECT
from gateway.secret_uses import SecretUses
from services.runtime.channels import open_channel
from services.runtime.tokens import TokenSigner
from tests.gateway.world import SECRET, TOOL, World, eventually, running_world, sign, ticket_body
from tests.support.keys import Keys

NEWER = b"whsec_newer_of_acme"
OLDER = "dossier_gateway_webhooks_with_older_secret_total"


def rotating(world: World) -> None:
    expiring = tenants.WebhookSecret(id="s1", value=SECRET)
    expiring.expire_time.FromSeconds(int(time.time()) + 3600)
    world.tenants.secrets["acme", TOOL] = [tenants.WebhookSecret(id="s9", value=NEWER), expiring]


def told(world: World) -> list[tuple[str, str]]:
    return [
        (use.tenant_id, use.secret_id)
        for request in world.tenants.heard("RecordWebhookSecretUses")
        for use in request.uses
    ]


async def older(world: World) -> float:
    async with httpx.AsyncClient() as scraper:
        text = (await scraper.get(f"{world.gateway.metrics_url}/metrics")).text
    (value,) = (line.split()[1] for line in text.splitlines() if line.startswith(OLDER))
    return float(value)


async def test_the_secret_that_fits_is_told_once_for_many_webhooks(world: World) -> None:
    before = datetime.now(UTC)
    for number in range(5):
        await world.webhook(ticket_body(f"{number}"))

    await eventually(lambda: bool(told(world)))

    assert told(world) == [("acme", "s1")]
    (request,) = world.tenants.heard("RecordWebhookSecretUses")
    assert before <= request.uses[0].use_time.ToDatetime(UTC) <= datetime.now(UTC)
    assert not [
        caller for caller in world.tenants.callers if caller.tenant is not None or caller.subject != SUBJECT
    ]


async def test_while_rotating_both_secrets_are_told_apart(keys: Keys) -> None:
    async with running_world(keys, secret_cache_seconds=0) as world:
        rotating(world)
        at_first = await older(world)
        body = ticket_body()
        await world.webhook(body, headers=sign(body, NEWER))
        assert await older(world) == at_first
        await world.webhook(body)
        assert await older(world) == at_first + 1

        await eventually(lambda: len(told(world)) == 2)

    assert sorted(told(world)) == [("acme", "s1"), ("acme", "s9")]


async def test_what_is_refused_is_no_use(world: World) -> None:
    body = ticket_body()
    await world.webhook(body, headers=sign(body, b"a guess"))
    await world.webhook(body, tenant="nobody")
    await world.webhook(body, tenant="globex", headers=sign(body, b"whsec_of_globex"))

    await eventually(lambda: bool(told(world)))

    assert told(world) == [("globex", "s2")]


async def test_what_cannot_be_told_is_told_later(world: World) -> None:
    world.tenants.lose_database()
    async with _channel(world) as channel:
        uses = SecretUses(channel)
        uses.note("acme", "s1")
        await uses.tell()
        await uses.tell()
        uses.note("acme", "s1")
        refused = len(told(world))
        assert refused >= 2

        world.tenants.failure = None
        await uses.tell()
        await uses.tell()

    assert told(world)[refused:] == [("acme", "s1")]


async def test_more_than_fit_into_a_call_go_in_several(world: World) -> None:
    async with _channel(world) as channel:
        uses = SecretUses(channel)
        for number in range(501):
            uses.note(f"client-{number}", "s1")
        await uses.tell()

    sizes = [len(request.uses) for request in world.tenants.heard("RecordWebhookSecretUses")]
    assert sizes == [500, 1]
    assert len(set(told(world))) == 501


async def test_a_gateway_that_drains_tells_what_it_knows(keys: Keys) -> None:
    async with running_world(keys) as world:
        await world.webhook(ticket_body())
        assert told(world) == []

    assert told(world) == [("acme", "s1")]


def _channel(world: World) -> grpc.aio.Channel:
    return open_channel(
        f"localhost:{world.ports['tenants']}",
        audience="tenants",
        services=[tenants.DESCRIPTOR.services_by_name["TenantService"]],
        signer=TokenSigner(world.keys.signing_key_file),
        subject=SUBJECT,
        tls=None,
    )
