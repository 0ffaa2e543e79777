"""Credentials of knowledge bases beside changes: what does not open, a key service that is slow or away."""

import asyncio
import os
from base64 import b64encode

import grpc
import pytest
from pydantic import HttpUrl

from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.serve import serving
from services.tenants.model import Secret
from services.tenants.sealing import KeptSecret, Place, Sealer
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.key_management import key_management
from tests.support.keys import Keys
from tests.tenants.client import CREDENTIALS, Client, knowledge_base
from tests.tenants.failures import failure_of
from tests.tenants.test_knowledge_bases import OTHER, credentials_by_name
from tests.tenants.test_secrets import serving_with

BOTH = Tenant(knowledge_bases=[knowledge_base(), knowledge_base("second")])
RENAMED = Tenant(display_name="Acme Air Freight")


def reader_of(client: Client, keys: Keys) -> Client:
    return Client(client.stub, keys.metadata("tenants", tenant="acme", subject="knowledge"))


async def test_what_does_not_open_holds_no_change_up_and_can_be_replaced(
    settings: TenantsSettings, keys: Keys
) -> None:
    lost, current = (b64encode(os.urandom(32)).decode() for _ in range(2))
    async with serving_with(settings, lost, keys) as before:
        await before.create()
        await before.update("acme", BOTH, "knowledge_bases")
        await before.set_knowledge_credentials("acme")

    async with serving_with(settings, current, keys) as operator:
        await operator.update("acme", RENAMED, "display_name")
        alone = Tenant(knowledge_bases=[knowledge_base("second")])
        await operator.update("acme", alone, "knowledge_bases")

        await operator.set_knowledge_credentials("acme", "second", OTHER)
        assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {"second": OTHER}


async def test_what_does_not_open_is_replaced_at_once(settings: TenantsSettings, keys: Keys) -> None:
    lost, current = (b64encode(os.urandom(32)).decode() for _ in range(2))
    async with serving_with(settings, lost, keys) as before:
        await before.create()
        await before.set_knowledge_credentials("acme")

    async with serving_with(settings, current, keys) as operator:
        await operator.set_knowledge_credentials("acme", credentials=OTHER)
        assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {"wiki": OTHER}


async def test_with_the_wrong_key_no_credentials_are_lost(settings: TenantsSettings, keys: Keys) -> None:
    right, wrong = (b64encode(os.urandom(32)).decode() for _ in range(2))
    async with serving_with(settings, right, keys) as operator:
        await operator.create()
        await operator.update("acme", BOTH, "knowledge_bases")
        await operator.set_knowledge_credentials("acme")
        await operator.set_knowledge_credentials("acme", "second", OTHER)
    async with serving_with(settings, wrong, keys) as operator:
        alone = Tenant(knowledge_bases=[knowledge_base("second")])
        await operator.update("acme", alone, "knowledge_bases")

    async with serving_with(settings, right, keys) as operator:
        assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {"second": OTHER}
        # What is left of the other goes with the next change.
        await operator.set_knowledge_credentials("acme", "second", OTHER)
        await operator.update("acme", BOTH, "knowledge_bases")
        access = await reader_of(operator, keys).knowledge_access()
        assert credentials_by_name(access) == {"wiki": {}, "second": OTHER}


async def test_while_the_key_service_is_away_only_what_needs_it_waits(
    settings: TenantsSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with key_management() as kms:
        in_kms = settings.model_copy(
            update={
                "key_encryption_key_file": None,
                "kms_key": kms.new_key(),
                "kms_endpoint_url": HttpUrl(kms.url),
            }
        )
        async with (
            serving("tenants", in_kms, build) as running,
            grpc.aio.insecure_channel(running.target) as channel,
        ):
            metadata = keys.metadata("tenants", tenant=None, role="operator", subject="cli")
            operator = Client(TenantServiceStub(channel), metadata)
            await operator.create()
            await operator.set_knowledge_credentials("acme")
            kms.stop()

            await operator.update("acme", RENAMED, "display_name")
            await operator.update("acme", BOTH, "knowledge_bases")
            refused = await failure_of(operator.update("acme", Tenant(), "knowledge_bases"))
            kms.start()

            assert refused.reason == "DEPENDENCY_UNAVAILABLE"
            assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {
                "wiki": CREDENTIALS,
                "second": {},
            }


class _Held:
    """Sealing that waits for its turn, as with a key service that takes its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()
        seal = Sealer.seal

        async def held(sealer: Sealer, secret: Secret, place: Place) -> KeptSecret:
            self.begun.set()
            await self.goes_on.wait()
            return await seal(sealer, secret, place)

        monkeypatch.setattr(Sealer, "seal", held)


async def test_changes_of_the_client_do_not_wait_for_a_slow_key_service(
    operator: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.create()
    held = _Held(monkeypatch)
    setting = asyncio.create_task(operator.set_knowledge_credentials("acme"))
    await held.begun.wait()

    async with asyncio.timeout(5):
        await operator.update("acme", RENAMED, "display_name")
    held.goes_on.set()
    await setting

    assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {"wiki": CREDENTIALS}


async def test_of_calls_at_once_none_undoes_the_other(
    operator: Client, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    await operator.create()
    three = Tenant(knowledge_bases=[knowledge_base(name) for name in ("wiki", "second", "third")])
    await operator.update("acme", three, "knowledge_bases")
    await operator.set_knowledge_credentials("acme", "third")
    held = _Held(monkeypatch)
    calls = [
        asyncio.create_task(operator.set_knowledge_credentials("acme")),
        asyncio.create_task(operator.set_knowledge_credentials("acme", "second", OTHER)),
        asyncio.create_task(operator.update("acme", BOTH, "knowledge_bases")),
    ]
    await held.begun.wait()
    await asyncio.sleep(0.3)
    held.goes_on.set()
    await asyncio.gather(*calls)
    await operator.update("acme", three, "knowledge_bases")

    assert credentials_by_name(await reader_of(operator, keys).knowledge_access()) == {
        "wiki": CREDENTIALS,
        "second": OTHER,
        "third": {},
    }
