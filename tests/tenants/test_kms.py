"""Key-encryption keys in a key management service: what opens, what does not, and at what price."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import grpc
import pytest
from pydantic import HttpUrl

from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.serve import serving
from services.tenants.kms import key_service
from services.tenants.model import OPERATOR, Secret, SecretKind, TenantId
from services.tenants.sealing import Place, Sealer, SecretUnreadable
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.databases import TestDatabase
from tests.support.key_management import KeyManagement, key_management
from tests.support.keys import Keys
from tests.tenants.client import CREDENTIALS, Client, tenant
from tests.tenants.failures import failure_of

PLACE = Place(TenantId("acme"), SecretKind.WEBHOOK, 1)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyManagement]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with key_management() as service:
        yield service


@pytest.fixture
def in_kms(settings: TenantsSettings, kms: KeyManagement) -> TenantsSettings:
    """The settings, with a key there, and none in a file."""
    return settings.model_copy(
        update={
            "key_encryption_key_file": None,
            "kms_key": kms.new_key(),
            "kms_endpoint_url": HttpUrl(kms.url),
        }
    )


class Callers:
    def __init__(self, channel: grpc.aio.Channel, keys: Keys) -> None:
        stub = TenantServiceStub(channel)
        self.operator = Client(stub, keys.metadata("tenants", tenant=None, role="operator", subject="cli"))
        self.gateway = Client(stub, keys.metadata("tenants", tenant=None, subject="gateway"))
        self.orchestrator = Client(stub, keys.metadata("tenants", tenant="acme", subject="orchestrator"))


@asynccontextmanager
async def asking(settings: TenantsSettings, keys: Keys) -> AsyncIterator[Callers]:
    async with (
        serving("tenants", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield Callers(channel, keys)


async def key_ids(database: TestDatabase) -> set[str]:
    connection = await asyncpg.connect(database.admin_url)
    rows = await connection.fetch("select distinct key_id from tenants.secrets")
    await connection.close()
    return {row["key_id"] for row in rows}


async def test_what_the_service_sealed_opens_again(
    in_kms: TenantsSettings, keys: Keys, database: TestDatabase
) -> None:
    async with asking(in_kms, keys) as asked:
        made = await asked.operator.create()
    async with asking(in_kms, keys) as asked:
        (secret,) = await asked.gateway.webhook_secrets("acme")
        credentials = (await asked.orchestrator.ticketing_access()).credentials

    assert secret.value.decode() == made.webhook_secret
    assert dict(credentials) == CREDENTIALS
    assert await key_ids(database) == {in_kms.kms_key}


async def test_a_data_key_unwraps_in_its_own_place_only(kms: KeyManagement) -> None:
    async with key_service(kms.new_key(), endpoint_url=kms.url, cache_seconds=60) as service:
        sealer = Sealer(service)
        kept = await sealer.seal(Secret(b"hush"), PLACE)

        assert (await sealer.open(kept)).reveal() == b"hush"
        for elsewhere in (
            replace(PLACE, tenant=TenantId("globex")),
            replace(PLACE, kind=SecretKind.TICKETING),
            replace(PLACE, version=2),
        ):
            with pytest.raises(SecretUnreadable, match="does not open"):
                await service.unwrap(replace(kept, place=elsewhere))
            with pytest.raises(SecretUnreadable):
                await sealer.open(replace(kept, place=elsewhere))


async def test_many_webhooks_cost_one_call(in_kms: TenantsSettings, keys: Keys, kms: KeyManagement) -> None:
    async with asking(in_kms, keys) as asked:
        await asked.operator.create()
        before = kms.calls["Decrypt"]
        for _ in range(20):
            await asked.gateway.webhook_secrets("acme")

        assert kms.calls["Decrypt"] - before == 1


async def test_a_stranger_costs_as_many_calls_as_a_client(
    in_kms: TenantsSettings, keys: Keys, kms: KeyManagement
) -> None:
    async with asking(in_kms, keys) as asked:
        await asked.operator.create()
        await asked.gateway.webhook_secrets("the-first-stranger")

        costs = []
        for name in ("acme", "globex"):
            before = kms.calls.copy()
            for _ in range(3):
                await asked.gateway.webhook_secrets(name)
            costs.append(kms.calls - before)

    assert costs == [{"Decrypt": 1}, {"Decrypt": 1}]


async def test_names_that_somebody_makes_up_do_not_crowd_out_clients(
    kms: KeyManagement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cache in ("_MOST_DATA_KEYS", "_MOST_STRANGERS"):
        monkeypatch.setattr(f"services.tenants.kms.{cache}", 2)
    async with key_service(kms.new_key(), endpoint_url=kms.url, cache_seconds=60) as service:
        sealer = Sealer(service)
        of_client = await sealer.seal(Secret(b"hush"), PLACE)
        decoy = await sealer.seal(Secret(b"hush"), replace(PLACE, tenant=OPERATOR))
        await sealer.open(of_client)
        before = kms.calls["Decrypt"]
        for number in range(3):
            await sealer.open(replace(decoy, id=f"stranger-{number}"))
        await sealer.open(of_client)

    assert kms.calls["Decrypt"] - before == 3


async def test_a_data_key_is_forgotten_after_a_while(
    in_kms: TenantsSettings, keys: Keys, kms: KeyManagement
) -> None:
    async with asking(in_kms.model_copy(update={"kms_cache_seconds": 0.2}), keys) as asked:
        await asked.operator.create()
        await asked.gateway.webhook_secrets("acme")
        kms.disabled.add(str(in_kms.kms_key))

        async with asyncio.timeout(20):
            failure = await failure_of(asking_on(asked.gateway))

    assert failure.reason == "DEPENDENCY_UNAVAILABLE"


async def asking_on(gateway: Client) -> None:
    while True:
        await gateway.webhook_secrets("acme")


async def test_a_disabled_key_is_said_to_be_refused_and_opens_when_it_is_enabled_again(
    in_kms: TenantsSettings, keys: Keys, kms: KeyManagement
) -> None:
    async with asking(in_kms, keys) as asked:
        made = await asked.operator.create()
        kms.disabled.add(str(in_kms.kms_key))

        opening = await failure_of(asked.gateway.webhook_secrets("acme"))
        strangers = await failure_of(asked.gateway.webhook_secrets("globex"))
        sealing = await failure_of(asked.operator.rotate("acme"))
        kms.disabled.clear()
        (secret,) = await asked.gateway.webhook_secrets("acme")

    for failure in (opening, strangers, sealing):
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
        assert failure.metadata == {"dependency": "the key management service"}
        # Which rule of whose account refused is for the log.
        assert failure.message.endswith("refuses")
        assert "DisabledException" not in failure.message
    assert secret.value.decode() == made.webhook_secret


async def test_while_the_service_is_away_what_was_opened_lately_opens(
    in_kms: TenantsSettings, keys: Keys, kms: KeyManagement
) -> None:
    async with asking(in_kms, keys) as asked:
        for name in ("acme", "globex"):
            await asked.operator.create(tenant(name))
        await asked.gateway.webhook_secrets("acme")
        kms.stop()

        (still,) = await asked.gateway.webhook_secrets("acme")
        other = await failure_of(asked.gateway.webhook_secrets("globex"))
        listed = await asked.operator.secret_versions("globex")
        kms.start()
        (again,) = await asked.gateway.webhook_secrets("globex")

    assert still.value
    assert (other.code, other.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "the key management service does not answer",
    )
    assert [each.id for each in listed] == [again.id]


async def test_without_credentials_it_is_said_to_be_away(
    in_kms: TenantsSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with asking(in_kms, keys) as asked:
        failure = await failure_of(asked.operator.create())

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")


async def test_secrets_move_from_a_file_to_the_service_to_another_key_and_back(
    settings: TenantsSettings, in_kms: TenantsSettings, keys: Keys, kms: KeyManagement, database: TestDatabase
) -> None:
    async with asking(settings, keys) as asked:
        made = {name: await asked.operator.create(tenant(name)) for name in ("acme", "globex")}
        file_key = (await asked.operator.reencrypt()).key_id
    with_file = in_kms.model_copy(update={"key_encryption_key_file": settings.key_encryption_key_file})
    newer = in_kms.model_copy(update={"kms_key": kms.new_key()})
    out = with_file.model_copy(update={"kms_seals": False})

    for now, key_id in (
        (with_file, with_file.kms_key),
        (newer, newer.kms_key),
        (out, file_key),
    ):
        async with asking(now, keys) as asked:
            first = await asked.operator.reencrypt(page_size=1)
            second = await asked.operator.reencrypt(page_size=1, page_token=first.next_page_token)
            again = await asked.operator.reencrypt()
            (secret,) = await asked.gateway.webhook_secrets("globex")
        assert [each.secrets for each in (first, second, again)] == [2, 2, 0]
        assert {each.key_id for each in (first, second, again)} == {key_id}
        assert await key_ids(database) == {key_id}
        assert secret.value.decode() == made["globex"].webhook_secret

    kms.stop()
    async with asking(settings, keys) as asked:
        assert len(await asked.gateway.webhook_secrets("acme")) == 1
        *_, last = await asked.operator.events("acme")
    assert (last.action, [change.field for change in last.changes]) == ("ReencryptSecrets", ["key_id"])
    assert last.changes[0].before == f'"{newer.kms_key}"'


async def test_an_alias_that_is_pointed_elsewhere_seals_with_the_new_key_and_opens_the_old(
    in_kms: TenantsSettings, keys: Keys, kms: KeyManagement, database: TestDatabase
) -> None:
    first, second = str(in_kms.kms_key), kms.new_key()
    alias = kms.new_alias(first)
    by_alias = in_kms.model_copy(update={"kms_key": alias})
    async with asking(by_alias, keys) as asked:
        made = await asked.operator.create()
    assert await key_ids(database) == {first}
    kms.point(alias, second)

    async with asking(by_alias, keys) as asked:
        (before,) = await asked.gateway.webhook_secrets("acme")
        done = await asked.operator.reencrypt()
        (after,) = await asked.gateway.webhook_secrets("acme")

    assert done.key_id == second
    assert await key_ids(database) == {second}
    assert before.value.decode() == after.value.decode() == made.webhook_secret


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"kms_key": "alias/dossier"}, "String should match pattern"),
        ({"kms_key": "arn:aws:s3:::bucket"}, "String should match pattern"),
        ({"kms_cache_seconds": 0}, "greater than 0"),
        (
            {"kms_seals": False},
            "KEY_ENCRYPTION_KEY_FILE: is required where DOSSIER_TENANTS_KMS_SEALS is false",
        ),
    ],
)
def test_wrong_settings_do_not_start(
    in_kms: TenantsSettings, changed: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        TenantsSettings.model_validate({**in_kms.model_dump(), **changed})


def test_without_the_extra_the_settings_name_it(
    in_kms: TenantsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore", None)

    with pytest.raises(ValueError, match=r"pip install 'dossier\[kms\]'"):
        TenantsSettings.model_validate(in_kms.model_dump())
