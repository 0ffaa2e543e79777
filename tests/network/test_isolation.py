"""Nobody sees or touches another client's inventory, and nobody calls without a token."""

from collections.abc import Awaitable, Callable

import asyncpg
import grpc
import pytest

from dossier.network.v1.inventory_pb2 import Asset, Prefix
from services.runtime.errors import error_info
from tests.network.client import Client
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

ASSET = Asset(name="srv", addresses=["10.0.0.5"], mac_addresses=["aa:bb:cc:dd:ee:ff"], notes="acme's own")
PREFIX = Prefix(prefix="10.0.0.0/8", role="acme's own")

EVERY_CALL: dict[str, Callable[[Client], Awaitable[object]]] = {
    "LookupMentions": lambda client: client.look_up("10.0.0.5"),
    "GetAsset": lambda client: client.asset("srv"),
    "ListAssets": lambda client: client.assets(),
    "ImportAssets": lambda client: client.import_assets([ASSET]),
    "DeleteAsset": lambda client: client.delete_asset("srv"),
    "ListPrefixes": lambda client: client.prefixes(),
    "ImportPrefixes": lambda client: client.import_prefixes([PREFIX]),
    "DeletePrefix": lambda client: client.delete_prefix("10.0.0.0/8"),
}


@pytest.fixture(autouse=True)
async def inventory(acme: Client) -> None:
    await acme.import_assets([ASSET])
    await acme.import_prefixes([PREFIX])


async def test_another_tenants_inventory_cannot_be_seen(globex: Client) -> None:
    assert not (await globex.assets()).assets
    assert not (await globex.prefixes()).prefixes
    for found in (await globex.look_up("srv 10.0.0.5 aa:bb:cc:dd:ee:ff 10.0.0.0/16")).findings:
        assert not found.HasField("asset")
        assert not found.HasField("prefix")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await globex.asset("srv")
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_another_tenants_inventory_cannot_be_changed(acme: Client, globex: Client) -> None:
    assert (await globex.import_assets([Asset(name="srv", notes="globex's own")])).created_count == 1
    assert (await globex.import_prefixes([Prefix(prefix="10.0.0.0/8")])).created_count == 1
    await globex.delete_asset("srv")
    await globex.delete_prefix("10.0.0.0/8")
    for call in (globex.delete_asset("srv"), globex.delete_prefix("10.0.0.0/8")):
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    assert await acme.asset("srv") == ASSET
    assert list((await acme.prefixes()).prefixes) == [PREFIX]


@pytest.mark.parametrize("call", EVERY_CALL)
async def test_without_a_token_every_call_is_unauthenticated(acme: Client, call: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await EVERY_CALL[call](Client(acme.stub, ()))

    info = error_info(raised.value)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert info is not None
    assert info.reason == "TOKEN_MISSING"


@pytest.mark.parametrize("call", EVERY_CALL)
async def test_without_a_tenant_every_call_is_denied(acme: Client, keys: Keys, call: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await EVERY_CALL[call](Client(acme.stub, keys.metadata("network", tenant=None)))

    info = error_info(raised.value)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert info is not None
    assert info.reason == "TENANT_REQUIRED"


async def test_every_rpc_of_the_contract_is_asked_above(acme: Client) -> None:
    from dossier.network.v1.network_service_pb2 import DESCRIPTOR  # noqa: PLC0415

    assert set(EVERY_CALL) == {
        method.name for method in DESCRIPTOR.services_by_name["NetworkService"].methods
    }


@pytest.mark.parametrize("table", ["assets", "asset_addresses", "asset_macs", "prefixes"])
async def test_the_services_role_sees_one_tenant_at_a_time(
    globex: Client, database: TestDatabase, table: str
) -> None:
    await globex.import_assets([ASSET])
    await globex.import_prefixes([PREFIX])
    connection = await asyncpg.connect(database.url("network"))

    unbound = await connection.fetch(f"select * from network.{table}")  # noqa: S608 - named above
    async with connection.transaction():
        await connection.execute("select set_config('dossier.tenant', 'globex', true)")
        bound = await connection.fetch(f"select tenant_id from network.{table}")  # noqa: S608 - named above
    await connection.close()

    assert unbound == []
    assert [row["tenant_id"] for row in bound] == ["globex"]
