"""Secrets reach the two services that need them, and nobody and nothing else."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import grpc
import pytest
from pydantic import SecretStr

from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.serve import serving
from services.runtime.settings import SettingsError, load_settings
from services.tenants.disclose import TicketingAccess
from services.tenants.key_ring import KeyRing
from services.tenants.model import Secret, SecretKind, TenantId
from services.tenants.sealing import Place, Sealer, SecretUnreadable
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.leaks import CANARY
from tests.tenants.client import CREDENTIALS, Client, tenant
from tests.tenants.failures import failure_of

PLACE = Place(TenantId("acme"), SecretKind.WEBHOOK, 1)


async def execute(database: TestDatabase, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(statement, *arguments)
    await connection.close()


async def everything_kept(database: TestDatabase) -> str:
    """The service's tables, as a thief of the database would see them."""
    connection = await asyncpg.connect(database.admin_url)
    tables = [
        await connection.fetch("select * from tenants.tenants"),
        await connection.fetch("select * from tenants.secrets"),
        await connection.fetch("select * from tenants.api_keys"),
    ]
    await connection.close()
    return "\n".join(repr(tuple(row)) for table in tables for row in table)


async def test_the_gateway_gets_what_the_tenant_was_given(operator: Client, gateway: Client) -> None:
    created = await operator.create()

    (secret,) = await gateway.webhook_secrets("acme")

    assert secret.value.decode() == created.webhook_secret
    assert secret.id
    assert not secret.HasField("expire_time")


@pytest.mark.parametrize(
    ("tenant_id", "tool"),
    [
        ("globex", "servicedesk_plus"),
        ("acme", "jira"),
        ("acme", ""),
        ("", ""),
        ("ac\0me", "servicedesk_plus"),
    ],
)
async def test_an_unknown_tenant_or_tool_has_no_webhook_secrets(
    operator: Client, gateway: Client, tenant_id: str, tool: str
) -> None:
    await operator.create()

    assert await gateway.webhook_secrets(tenant_id, tool) == []


async def test_a_suspended_tenant_has_no_webhook_secrets_and_no_access(
    operator: Client, gateway: Client, orchestrator: Client, database: TestDatabase
) -> None:
    key = (await operator.create()).api_key
    await execute(database, "update tenants.tenants set state = 'suspended'")

    assert await gateway.webhook_secrets("acme") == []
    suspended = await failure_of(orchestrator.ticketing_access())
    assert (suspended.code, suspended.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TENANT_SUSPENDED")
    assert suspended.metadata == {"tenant_id": "acme"}
    assert (await failure_of(gateway.authenticate(key))).reason == "API_KEY_INVALID"


async def test_while_rotating_two_secrets_count_until_the_old_one_expires(
    operator: Client, gateway: Client, database: TestDatabase, key_file: Path
) -> None:
    old = (await operator.create()).webhook_secret
    newer = await Sealer(KeyRing.read(key_file)).seal(Secret(b"newer"), replace(PLACE, version=2))
    await execute(database, "update tenants.secrets set expire_time = now() + interval '1 hour'")
    await execute(
        database,
        "insert into tenants.secrets (tenant_id, kind, version, secret_id, key_id, wrapped_key, ciphertext)"
        " values ('acme', 'webhook', 2, $1, $2, $3, $4)",
        newer.id,
        newer.sealed.key_id,
        newer.sealed.wrapped_key,
        newer.sealed.ciphertext,
    )

    both = await gateway.webhook_secrets("acme")
    await execute(database, "update tenants.secrets set expire_time = now() where version = 1")
    one = await gateway.webhook_secrets("acme")

    assert [each.value.decode() for each in both] == ["newer", old]
    assert [each.HasField("expire_time") for each in both] == [False, True]
    assert [each.value.decode() for each in one] == ["newer"]


async def test_the_orchestrator_gets_its_tenants_credentials(operator: Client, orchestrator: Client) -> None:
    created = await operator.create()
    await operator.create(tenant("globex"), credentials={"authtoken": f"{CANARY}-globex"})

    access = await orchestrator.ticketing_access()

    assert dict(access.credentials) == CREDENTIALS
    assert access.tenant == created.tenant


async def test_a_tenant_without_credentials_has_access_without_them(
    operator: Client, orchestrator: Client
) -> None:
    await operator.create(credentials={})

    assert dict((await orchestrator.ticketing_access()).credentials) == {}


async def test_an_unknown_tenant_has_no_access(orchestrator: Client) -> None:
    assert (await failure_of(orchestrator.ticketing_access())).reason == "TENANT_NOT_FOUND"


async def test_a_key_says_whose_it_is(operator: Client, gateway: Client) -> None:
    key = (await operator.create()).api_key
    await operator.create(tenant("globex"))

    holder = await gateway.authenticate(key)

    assert (holder.tenant_id, holder.role) == ("acme", 1)
    assert holder.key_id


async def test_an_operators_key_has_no_tenant(gateway: Client, database: TestDatabase) -> None:
    key = Secret.api_key()
    await execute(
        database,
        "insert into tenants.api_keys (key_id, tenant_id, role, hash) values ('k1', '-', 'operator', $1)",
        key.digest(),
    )

    holder = await gateway.authenticate(key.reveal().decode())

    assert (holder.tenant_id, holder.role, holder.key_id) == ("", 2, "k1")


@pytest.mark.parametrize(
    "spoil",
    [
        "update tenants.api_keys set revoke_time = now()",
        "update tenants.api_keys set expire_time = now()",
        "update tenants.api_keys set expire_time = now() - interval '1 day'",
    ],
)
async def test_a_revoked_or_expired_key_is_invalid(
    operator: Client, gateway: Client, database: TestDatabase, spoil: str
) -> None:
    key = (await operator.create()).api_key
    await execute(database, spoil)

    failure = await failure_of(gateway.authenticate(key))

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")


@pytest.mark.parametrize("key", ["dsk_unknown", "x", "\0", "é" * 100])
async def test_an_unknown_key_is_invalid(operator: Client, gateway: Client, key: str) -> None:
    await operator.create()

    failure = await failure_of(gateway.authenticate(key))

    assert failure.reason == "API_KEY_INVALID"
    assert failure.metadata == {}


async def test_the_database_holds_no_secret_in_the_clear(operator: Client, database: TestDatabase) -> None:
    created = await operator.create()

    kept = await everything_kept(database)

    assert "acme" in kept
    for secret in (created.webhook_secret, created.api_key, CREDENTIALS["authtoken"]):
        assert secret not in kept


async def test_no_secret_is_ever_logged(
    operator: Client, gateway: Client, orchestrator: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    created = await operator.create(request_id="create-1")
    await gateway.webhook_secrets("acme")
    await orchestrator.ticketing_access()
    await gateway.authenticate(created.api_key)
    await failure_of(gateway.authenticate(created.api_key + "x"))
    await failure_of(operator.create())

    output, errors = capfd.readouterr()

    assert "tenant_registered" in output + errors
    for secret in (created.webhook_secret, created.api_key, CREDENTIALS["authtoken"]):
        assert secret not in output + errors


async def test_with_another_key_a_secret_does_not_open_and_nothing_is_told(
    operator: Client, settings: TenantsSettings, keys: Keys, tmp_path: Path
) -> None:
    await operator.create()
    other = tmp_path / "other.key"
    other.write_bytes(b64encode(os.urandom(32)))
    changed = settings.model_copy(update={"key_encryption_key_file": other})

    async with (
        serving("tenants", changed, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        gateway = Client(TenantServiceStub(channel), keys.metadata("tenants", tenant=None, subject="gateway"))
        failure = await failure_of(gateway.webhook_secrets("acme"))

    assert failure.code is grpc.StatusCode.INTERNAL


async def test_a_sealed_secret_opens_in_its_own_place_only(key_file: Path) -> None:
    key = Sealer(KeyRing.read(key_file))
    kept = await key.seal(Secret(b"hush"), PLACE)

    assert (await key.open(kept)).reveal() == b"hush"
    for elsewhere in (
        replace(PLACE, tenant=TenantId("globex")),
        replace(PLACE, kind=SecretKind.TICKETING),
        replace(PLACE, version=2),
    ):
        with pytest.raises(SecretUnreadable):
            await key.open(replace(kept, place=elsewhere))


async def test_a_changed_byte_does_not_open(key_file: Path) -> None:
    key = Sealer(KeyRing.read(key_file))
    kept = await key.seal(Secret(b"hush"), PLACE)

    for sealed in (
        replace(kept.sealed, wrapped_key=flipped(kept.sealed.wrapped_key)),
        replace(kept.sealed, ciphertext=flipped(kept.sealed.ciphertext)),
    ):
        with pytest.raises(SecretUnreadable) as raised:
            await key.open(replace(kept, sealed=sealed))
        assert "hush" not in str(raised.value)


def flipped(encrypted: bytes) -> bytes:
    return encrypted[:-1] + bytes([encrypted[-1] ^ 1])


async def test_the_same_secret_is_sealed_differently_each_time(key_file: Path) -> None:
    key = Sealer(KeyRing.read(key_file))
    first, second = [(await key.seal(Secret(b"hush"), PLACE)).sealed for _ in range(2)]

    assert first.wrapped_key != second.wrapped_key
    assert first.ciphertext != second.ciphertext


def test_secrets_do_not_show_themselves(key_file: Path) -> None:
    key = KeyRing.read(key_file)
    access = TicketingAccess.__dataclass_fields__["credentials"]

    assert "hush" not in f"{Secret(b'hush')} {Secret(b'hush')!r} {[Secret(b'hush')]}"
    assert repr(key) == "KeyRing()"
    assert not access.repr


@pytest.mark.parametrize("content", ["", "not base64!", b64encode(b"short").decode()])
def test_a_file_without_a_key_is_a_problem_of_the_settings(
    settings: TenantsSettings, key_file: Path, content: str
) -> None:
    key_file.write_text(content)

    with pytest.raises(ValueError, match="must hold 32 bytes in base64, a line each key") as raised:
        TenantsSettings.model_validate(settings.model_dump())

    assert not content or content not in str(raised.value)


@asynccontextmanager
async def serving_with(settings: TenantsSettings, ring: str, keys: Keys) -> AsyncIterator[Client]:
    """The service with these key-encryption keys, asked by an operator."""
    changed = settings.model_copy(
        update={"key_encryption_key_file": None, "key_encryption_key": SecretStr(ring)}
    )
    async with (
        serving("tenants", changed, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        metadata = keys.metadata("tenants", tenant=None, role="operator", subject="cli")
        yield Client(TenantServiceStub(channel), metadata)


async def test_secrets_move_to_a_new_key_encryption_key_and_the_old_one_can_go(
    settings: TenantsSettings, keys: Keys, database: TestDatabase
) -> None:
    old, new = (b64encode(os.urandom(32)).decode() for _ in range(2))
    async with serving_with(settings, old, keys) as before:
        made = {name: await before.create(tenant(name)) for name in ("acme", "globex", "initech")}
        await before.rotate("acme")

    async with serving_with(settings, f"{new}\n{old}", keys) as both:
        first = await both.reencrypt(page_size=2)
        second = await both.reencrypt(page_size=2, page_token=first.next_page_token)
        again = await both.reencrypt(page_size=1000)
        assert (await both.verify("acme")).broken_at == 0
        assert [event.action for event in await both.events("globex")] == ["CreateTenant", "ReencryptSecrets"]
    assert (first.tenants, first.secrets, second.tenants, second.secrets) == (2, 5, 1, 2)
    assert (again.tenants, again.secrets) == (3, 0)

    async with serving_with(settings, new, keys) as alone:
        metadata = keys.metadata("tenants", tenant=None, subject="gateway")
        (secret,) = await Client(alone.stub, metadata).webhook_secrets("globex")
    assert secret.value.decode() == made["globex"].webhook_secret
    ids = {first.key_id, await KeyRing.parse(old).current_id()}
    assert len(ids) == 2
    connection = await asyncpg.connect(database.admin_url)
    kept = await connection.fetch("select distinct key_id from tenants.secrets")
    await connection.close()
    assert [row["key_id"] for row in kept] == [first.key_id]


async def test_a_secret_that_does_not_open_stops_neither_the_others_nor_webhooks_with_the_next_one(
    settings: TenantsSettings, keys: Keys
) -> None:
    lost, old, new = (b64encode(os.urandom(32)).decode() for _ in range(3))
    async with serving_with(settings, lost, keys) as before:
        await before.create()
    async with serving_with(settings, old, keys) as since:
        await since.create(tenant("globex"))
        rotated = await since.rotate("acme")

    async with serving_with(settings, f"{new}\n{old}", keys) as both:
        gateway = Client(both.stub, keys.metadata("tenants", tenant=None, subject="gateway"))
        assert [each.value.decode() for each in await gateway.webhook_secrets("acme")] == [
            rotated.webhook_secret
        ]
        done = await both.reencrypt()
        again = await both.reencrypt()
        assert [event.action for event in await both.events("acme")][-1] == "ReencryptSecrets"
    lost_id = await KeyRing.parse(lost).current_id()
    assert (done.tenants, done.secrets) == (2, 3)
    assert [(each.tenant_id, each.kind, each.version, each.key_id) for each in done.unreadable] == [
        ("acme", "ticketing", 1, lost_id),
        ("acme", "webhook", 1, lost_id),
    ]
    assert (again.secrets, again.unreadable) == (0, done.unreadable)


async def test_what_has_expired_is_not_named_any_more(
    settings: TenantsSettings, keys: Keys, database: TestDatabase
) -> None:
    lost, current = (b64encode(os.urandom(32)).decode() for _ in range(2))
    async with serving_with(settings, lost, keys) as before:
        await before.create()
    async with serving_with(settings, current, keys) as since:
        await since.rotate("acme")
        await since.set_credentials("acme", CREDENTIALS)
        assert [each.version for each in (await since.reencrypt()).unreadable] == [1]
        await execute(database, "update tenants.secrets set expire_time = now() where version = 1")

        done = await since.reencrypt()

    assert (done.tenants, done.secrets, list(done.unreadable)) == (1, 0, [])


async def test_a_secret_of_a_key_that_is_gone_does_not_open() -> None:
    old, new = (b64encode(os.urandom(32)).decode() for _ in range(2))
    kept = await Sealer(KeyRing.parse(old)).seal(Secret(b"hush"), PLACE)

    assert (await Sealer(KeyRing.parse(f"{new}\n{old}")).open(kept)).reveal() == b"hush"
    with pytest.raises(SecretUnreadable, match=await KeyRing.parse(old).current_id()):
        await Sealer(KeyRing.parse(new)).open(kept)


def test_the_key_comes_from_a_file_or_from_the_environment_and_not_from_both(
    settings: TenantsSettings, key_file: Path
) -> None:
    from_file = settings.model_dump()
    text = key_file.read_text()
    from_environment = {**from_file, "key_encryption_key_file": None, "key_encryption_key": text}

    ring = TenantsSettings.model_validate(from_environment).key_ring

    assert ring == settings.key_ring
    both = {**from_environment, "key_encryption_key_file": key_file}
    neither = {**from_file, "key_encryption_key_file": None}
    for wrong in (both, neither):
        with pytest.raises(ValueError, match="DOSSIER_TENANTS_KEY_ENCRYPTION_KEY_FILE: either this or"):
            TenantsSettings.model_validate(wrong)


def test_a_wrong_key_is_not_quoted(settings: TenantsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "Y2FuYXJ5LWtleQ=="
    monkeypatch.setenv("DOSSIER_TENANTS_DATABASE_URL", "postgresql://nobody@localhost/none")
    monkeypatch.setenv("DOSSIER_TENANTS_TOKEN_JWKS_FILE", str(settings.token_jwks_file))
    monkeypatch.setenv("DOSSIER_TENANTS_KEY_ENCRYPTION_KEY", canary)

    with pytest.raises(SettingsError, match="DOSSIER_TENANTS_KEY_ENCRYPTION_KEY") as raised:
        load_settings(TenantsSettings)

    assert canary not in str(raised.value)
