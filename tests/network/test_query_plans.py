"""The lookups use their indexes, as the service's role under row-level security, in a large inventory."""

import json
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from typing import Any

import asyncpg
import pytest

from services.network.model import as_network
from services.network.store import FIND_ASSETS, FIND_PREFIXES
from tests.support.databases import TestDatabase

FILL = """
insert into network.prefixes (tenant_id, prefix, site, vlan_id, vlan_name, role, description)
select tenant, set_masklen(('10.0.0.0'::inet + n * 256)::cidr, 24), '', 0, '', '', ''
from unnest('{acme,globex}'::text[]) tenant, generate_series(0, 19999) n;
insert into network.assets (tenant_id, name_key, short_key, name, type, site, role, model, serial,
                            operating_system, owner, criticality, notes)
select tenant, 'host' || n || '.acme.example', 'host' || n, 'host' || n, '', '', '', '', '', '', '', '', ''
from unnest('{acme,globex}'::text[]) tenant, generate_series(0, 19999) n;
insert into network.asset_addresses (tenant_id, name_key, position, address)
select tenant_id, name_key, 0, '10.0.0.0'::inet + row_number() over () from network.assets;
insert into network.asset_macs (tenant_id, name_key, position, mac_address)
select tenant_id, name_key, 0, md5(name_key) from network.assets;
analyze network.prefixes, network.assets, network.asset_addresses, network.asset_macs;
"""


@pytest.fixture
async def as_service(database: TestDatabase) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    connection = await asyncpg.connect(database.url("network"))
    async with connection.transaction():
        await connection.execute("select set_config('dossier.tenant', 'acme', true)")
        yield connection
    await connection.close()


async def plan(connection: "asyncpg.Connection[asyncpg.Record]", query: str, *arguments: object) -> list[Any]:
    explained = await connection.fetchval(f"explain (analyze, format json) {query}", *arguments)
    return list(nodes(json.loads(explained)[0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def conditions(plan: list[Any]) -> str:
    return "\n".join(node.get("Index Cond", "") for node in plan)


def scanned_whole(plan: list[Any]) -> list[str]:
    return [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"]


async def test_the_longest_prefix_is_found_by_index(as_service: "asyncpg.Connection[asyncpg.Record]") -> None:
    addresses = [as_network(ip_address(0x0A000000 + n * 999)) for n in range(50)]

    found = await plan(as_service, FIND_PREFIXES, "acme", addresses)

    assert scanned_whole(found) == []
    assert "(prefix)::inet = ANY" in conditions(found)


async def test_assets_are_found_by_index(as_service: "asyncpg.Connection[asyncpg.Record]") -> None:
    addresses = [ip_address(0x0A000000 + n * 99) for n in range(50)]
    keys = [f"host{n}.acme.example" for n in range(50)]
    short_keys = [f"host{n}" for n in range(50, 100)]

    found = await plan(as_service, FIND_ASSETS, "acme", addresses, ["aa:bb:cc:dd:ee:ff"], keys, short_keys)

    assert scanned_whole(found) == []
    for column in ("address", "mac_address", "name_key", "short_key"):
        assert f"{column} = ANY" in conditions(found)
