"""Secrets reach the two services that need them, and nobody and nothing else."""

import os
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import asyncpg
import grpc
import pytest

from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.serve import serving
from services.tenants.disclose import TicketingAccess
from services.tenants.model import Secret, SecretKind, TenantId
from services.tenants.sealing import KeyEncryptionKey, Place, SecretUnreadable
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
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
    newer = KeyEncryptionKey.read(key_file).seal(Secret(b"newer"), replace(PLACE, version=2))
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
    await operator.create(tenant("globex"), credentials={"authtoken": "of globex"})

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
        "insert into tenants.api_keys (key_id, role, hash) values ('k1', 'operator', $1)",
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


def test_a_sealed_secret_opens_in_its_own_place_only(key_file: Path) -> None:
    key = KeyEncryptionKey.read(key_file)
    kept = key.seal(Secret(b"hush"), PLACE)

    assert key.open(kept).reveal() == b"hush"
    for elsewhere in (
        replace(PLACE, tenant=TenantId("globex")),
        replace(PLACE, kind=SecretKind.TICKETING),
        replace(PLACE, version=2),
    ):
        with pytest.raises(SecretUnreadable):
            key.open(replace(kept, place=elsewhere))


def test_a_changed_byte_does_not_open(key_file: Path) -> None:
    key = KeyEncryptionKey.read(key_file)
    kept = key.seal(Secret(b"hush"), PLACE)

    for sealed in (
        replace(kept.sealed, wrapped_key=flipped(kept.sealed.wrapped_key)),
        replace(kept.sealed, ciphertext=flipped(kept.sealed.ciphertext)),
    ):
        with pytest.raises(SecretUnreadable) as raised:
            key.open(replace(kept, sealed=sealed))
        assert "hush" not in str(raised.value)


def flipped(encrypted: bytes) -> bytes:
    return encrypted[:-1] + bytes([encrypted[-1] ^ 1])


def test_the_same_secret_is_sealed_differently_each_time(key_file: Path) -> None:
    key = KeyEncryptionKey.read(key_file)
    first, second = (key.seal(Secret(b"hush"), PLACE).sealed for _ in range(2))

    assert first.wrapped_key != second.wrapped_key
    assert first.ciphertext != second.ciphertext


def test_secrets_do_not_show_themselves(key_file: Path) -> None:
    key = KeyEncryptionKey.read(key_file)
    access = TicketingAccess.__dataclass_fields__["credentials"]

    assert "hush" not in f"{Secret(b'hush')} {Secret(b'hush')!r} {[Secret(b'hush')]}"
    assert repr(key) == "KeyEncryptionKey()"
    assert not access.repr


@pytest.mark.parametrize("content", ["", "not base64!", b64encode(b"short").decode()])
def test_a_file_without_a_key_is_a_problem_of_the_settings(
    settings: TenantsSettings, key_file: Path, content: str
) -> None:
    key_file.write_text(content)

    with pytest.raises(ValueError, match="must hold 32 bytes in base64") as raised:
        TenantsSettings.model_validate(settings.model_dump())

    assert not content or content not in str(raised.value)
