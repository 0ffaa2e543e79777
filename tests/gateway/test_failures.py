"""Guessing: it is slow, it tells nothing, and it stops nobody who has what it takes."""

import asyncio
import hmac
import time
from collections.abc import Callable

import httpx
import pytest
from starlette.types import Scope

from dossier.tenants.v1 import tenant_service_pb2 as tenants
from gateway.failures import FailedAttempts
from tests.gateway.test_limits import another_gateway
from tests.gateway.world import (
    ADMIN,
    SECRET,
    TOOL,
    VIEWER,
    World,
    eventually,
    key,
    running_world,
    sign,
    ticket_body,
)
from tests.support.keys import Keys

READ = "/v1/tickets/1"
BEHIND_A_PROXY = {"trusted_proxies": "127.0.0.1", "secret_cache_seconds": 0}


def of(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def read(
    world: World, credential: str, *, address: str = "192.0.2.1", http: httpx.AsyncClient | None = None
) -> httpx.Response:
    return await (http or world.http).get(READ, headers={**key(credential), **of(address)})


async def guess(world: World, times: int, *, address: str = "192.0.2.1") -> list[int]:
    return [
        (await read(world, f"dsk_guess_{number}", address=address)).status_code for number in range(times)
    ]


async def post(
    world: World,
    *,
    tenant: str = "acme",
    secret: bytes = SECRET,
    address: str = "192.0.2.1",
    tool: str = TOOL,
) -> httpx.Response:
    body = ticket_body()
    return await world.webhook(body, tenant=tenant, tool=tool, headers={**sign(body, secret), **of(address)})


async def test_guessed_keys_get_429_and_are_not_looked_up_any_more(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert await guess(world, 3) == [401] * 3
        asked = len(world.tenants.heard("AuthenticateApiKey"))
        refused = await read(world, "dsk_another_guess")
        assert refused.status_code == 429
        assert refused.json()["reason"] == "TOO_MANY_FAILURES"
        assert 55 < int(refused.headers["retry-after"]) <= 60
        assert await guess(world, 5) == [429] * 5
        assert len(world.tenants.heard("AuthenticateApiKey")) == asked
        # Elsewhere nobody notices.
        assert await guess(world, 1, address="192.0.2.2") == [401]
        assert (await read(world, ADMIN, address="192.0.2.2")).status_code == 200


async def test_guessed_signatures_get_429_alike_and_nobody_is_asked_about_any_more(
    keys: Keys, redis_url: str
) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await post(world)).status_code == 202
        for tenant in ("acme", "nobody", "globex"):
            assert (await post(world, tenant=tenant, secret=b"a guess")).status_code == 401
        asked = len(world.tenants.heard("ListWebhookSecrets"))
        answers = [
            await post(world, secret=b"a guess"),
            await post(world, tenant="nobody"),
            await post(world, tenant="another"),
            await post(world, tool="no_such_tool"),
        ]
        assert len(world.tenants.heard("ListWebhookSecrets")) == asked
    contents = [answer.json() | {"request_id": ""} for answer in answers]
    assert {answer.status_code for answer in answers} == {429}
    assert all(
        each["reason"] == "TOO_MANY_FAILURES" and each["code"] == "RESOURCE_EXHAUSTED" for each in contents
    )
    assert len({frozenset(answer.headers.keys()) for answer in answers}) == 1


async def test_who_guesses_cannot_stop_the_real_webhooks_even_from_their_own_address(
    keys: Keys, redis_url: str
) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await post(world)).status_code == 202
        for _ in range(20):
            await post(world, secret=b"a guess")
        assert (await post(world, secret=b"a guess")).status_code == 429
        assert (await post(world)).status_code == 200
        assert (await post(world, address="192.0.2.2")).status_code == 200


async def test_a_new_secret_is_learnt_also_where_an_address_is_blocked(
    keys: Keys, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await post(world)).status_code == 202
        # What was asked for when the gateway began to listen for changes is not kept.
        assert (await post(world)).status_code == 200
        await guess(world, 4)
        world.tenants.secrets["acme", TOOL] = [tenants.WebhookSecret(id="s9", value=b"new")]
        asked = len(world.tenants.heard("ListWebhookSecrets"))
        assert (await post(world, secret=b"new")).status_code == 429
        monkeypatch.setattr("gateway.webhooks._ASKED_FOR_THE_BLOCKED_SECONDS", 0.0)

        assert (await post(world, secret=b"new")).status_code == 429
        await eventually(lambda: len(world.tenants.heard("ListWebhookSecrets")) == asked + 1)
        # The answer is on its way, and is not asked for again.
        monkeypatch.setattr("gateway.webhooks._ASKED_FOR_THE_BLOCKED_SECONDS", 60.0)
        async with asyncio.timeout(30):
            while (await post(world, secret=b"new")).status_code != 200:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.05)
        monkeypatch.setattr("gateway.webhooks._ASKED_FOR_THE_BLOCKED_SECONDS", 0.0)
        # Of those whom nobody knows, still nothing.
        assert (await post(world, tenant="nobody", secret=b"new")).status_code == 429
    assert len(world.tenants.heard("ListWebhookSecrets")) == asked + 2


async def test_while_tenants_is_away_or_slow_a_blocked_address_does_not_learn_who_is_known(
    keys: Keys, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.webhooks._ASKED_FOR_THE_BLOCKED_SECONDS", 0.0)
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await post(world)).status_code == 202
        await guess(world, 4)
        world.tenants.secrets_wait = asyncio.Event()
        slow = await tried(world)
        world.tenants.secrets_wait.set()
        await world.stop("tenants")
        away = await tried(world)
        await world.start("tenants")
    assert slow == away == [(429, "TOO_MANY_FAILURES")] * 2


async def tried(world: World) -> list[tuple[int, str]]:
    """What a guess for a client, and for nobody, is answered, within the time that both take."""
    answers = []
    for tenant in ("acme", "nobody"):
        async with asyncio.timeout(2):
            answer = await post(world, tenant=tenant, secret=b"a guess")
        answers.append((answer.status_code, answer.json()["reason"]))
    return answers


async def test_a_key_known_last_opens_from_an_address_that_is_blocked(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await read(world, ADMIN)).status_code == 200
        await guess(world, 4)
        assert (await read(world, ADMIN)).status_code == 200
        token = keys.mint("gateway", tenant="acme", role="viewer")
        assert (await read(world, token)).status_code == 200
        # This one nobody has used yet; it opens from elsewhere, and then from here.
        assert (await read(world, VIEWER)).status_code == 429
        assert (await read(world, VIEWER, address="192.0.2.2")).status_code == 200
        assert (await read(world, VIEWER)).status_code == 200


async def test_what_was_revoked_does_not_open_because_it_was_known_last(keys: Keys, redis_url: str) -> None:
    async with running_world(
        keys, redis_url=redis_url, address_failures_per_minute=3, **BEHIND_A_PROXY
    ) as world:
        assert (await post(world)).status_code == 202
        assert (await read(world, ADMIN)).status_code == 200
        await guess(world, 4)
        world.tenants.secrets["acme", TOOL] = [tenants.WebhookSecret(id="s9", value=b"new")]
        del world.tenants.keys[ADMIN]
        assert (await post(world)).status_code == 429
        assert (await read(world, ADMIN)).status_code == 429


async def test_gateways_count_failures_together(keys: Keys, redis_url: str) -> None:
    settings = {"redis_url": redis_url, "address_failures_per_minute": 4, **BEHIND_A_PROXY}
    async with running_world(keys, **settings) as world, another_gateway(world, **settings) as other:
        assert await guess(world, 4) == [401] * 4
        # It learns so from the first.
        found = [(await read(world, f"dsk_guess_{n}", http=other)).status_code for n in range(3)]
        assert found == [401, 429, 429]


async def test_without_redis_each_gateway_counts_failures_alone(keys: Keys, tmp_path: object) -> None:
    url = f"unix://{tmp_path}/nothing.sock"
    async with running_world(keys, redis_url=url, address_failures_per_minute=3, **BEHIND_A_PROXY) as world:
        assert await guess(world, 5) == [401] * 3 + [429] * 2


async def test_no_credentials_are_no_guess(keys: Keys) -> None:
    async with running_world(keys, address_failures_per_minute=1) as world:
        for _ in range(3):
            answer = await world.http.get(READ)
            assert answer.json()["reason"] == "CREDENTIALS_MISSING"
        assert (await world.http.get(READ, headers=key("dsk_guess"))).status_code == 401
        assert (await world.http.get(READ, headers=key("dsk_guess"))).status_code == 429


async def test_who_is_no_trusted_proxy_cannot_choose_its_address(keys: Keys) -> None:
    async with running_world(keys, address_failures_per_minute=2) as world:
        found = [(await guess(world, 1, address=f"192.0.2.{number}"))[0] for number in range(4)]
        assert found == [401, 401, 429, 429]


async def test_behind_a_proxy_only_what_the_proxy_itself_wrote_counts(keys: Keys) -> None:
    async with running_world(
        keys, address_failures_per_minute=2, trusted_proxies="10.0.0.0/8, 127.0.0.1"
    ) as world:
        found = [
            (await guess(world, 1, address=f"203.0.113.{number}, 192.0.2.1, 10.0.0.7"))[0]
            for number in range(4)
        ]
        assert found == [401, 401, 429, 429]


async def test_addresses_of_one_ipv6_network_are_one() -> None:
    def scope(host: str) -> Scope:
        return {"type": "http", "client": (host, 1)}

    failures = FailedAttempts(2, None)
    for host in ("2001:db8::1", "2001:db8::2:0:0:1"):
        await failures.count(scope(host))
    assert failures.blocked(scope("2001:db8::ffff")) is not None
    assert failures.blocked(scope("2001:db8:0:1::1")) is None


UNLIKE: dict[str, Callable[[World], tuple[str, dict[str, str]]]] = {
    "wrong signature": lambda _: (f"/webhooks/acme/{TOOL}", sign(ticket_body(), b"a guess")),
    "no signature": lambda _: (f"/webhooks/acme/{TOOL}", {}),
    "rotating": lambda _: (f"/webhooks/globex/{TOOL}", sign(ticket_body(), b"a guess")),
    "unknown client": lambda _: (f"/webhooks/nobody/{TOOL}", sign(ticket_body())),
    "unknown tool": lambda _: ("/webhooks/acme/no_such_tool", sign(ticket_body())),
    "no name at all": lambda _: (f"/webhooks/%00/{TOOL}", sign(ticket_body())),
    "alias": lambda _: ("/webhook/servicedesk", sign(ticket_body())),
}


async def raw_answer(world: World, path: str, headers: dict[str, str]) -> bytes:
    """Every byte of the answer, but those of the date."""
    reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
    body = ticket_body()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: dossier",
        "Connection: close",
        "X-Request-Id: the-same",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"date:"))


def rotating(world: World) -> None:
    world.tenants.secrets["globex", TOOL] = [
        tenants.WebhookSecret(id="new", value=b"new"),
        tenants.WebhookSecret(id="old", value=b"old"),
    ]


async def test_refusals_are_the_same_to_the_byte(world: World) -> None:
    rotating(world)
    answers = {name: await raw_answer(world, *unlike(world)) for name, unlike in UNLIKE.items()}
    first = next(iter(answers.values()))
    assert first.startswith(b"HTTP/1.1 401 ")
    assert b"WEBHOOK_REFUSED" in first
    assert {name: answer for name, answer in answers.items() if answer != first} == {}


async def test_refusals_take_the_same_work(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    work: dict[str, tuple[int, int]] = {}
    async with running_world(keys, secret_cache_seconds=0) as world:
        rotating(world)
        monkeypatch.setattr(hmac, "compare_digest", counting)
        for name, unlike in UNLIKE.items():
            if name == "no signature":
                # There is nothing to compare, whoever it is from.
                continue
            compared.clear()
            world.forget()
            path, headers = unlike(world)
            answer = await world.http.post(path, content=ticket_body(), headers=headers)
            assert answer.status_code == 401
            work[name] = (len(compared), len(world.tenants.heard("ListWebhookSecrets")))
    assert set(work.values()) == {(2, 1)}, work


async def test_a_refusal_does_not_come_sooner_where_the_secrets_were_at_hand(keys: Keys) -> None:
    """A busy client's are, and the tenants service has to be asked about nobody's."""
    async with running_world(keys, secret_cache_seconds=60) as world:
        assert (await post(world)).status_code == 202
        for tenant in ("acme", "nobody"):
            started = time.monotonic()
            assert (await post(world, tenant=tenant, secret=b"a guess")).status_code == 401
            assert time.monotonic() - started >= 0.1
        assert len(world.tenants.heard("ListWebhookSecrets")) == 2


async def test_what_is_accepted_does_not_wait(keys: Keys) -> None:
    async with running_world(keys, secret_cache_seconds=60) as world:
        await post(world)
        quickest = 1.0
        for _ in range(20):
            started = time.monotonic()
            assert (await post(world)).status_code == 200
            quickest = min(quickest, time.monotonic() - started)
        assert quickest < 0.1
