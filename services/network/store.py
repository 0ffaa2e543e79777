"""One tenant's inventory in PostgreSQL.

Under row-level security an index serves only comparisons that are leakproof. Equality of text and of networks
is; containment (`>>=`), `lower()` and equality of `macaddr` are not. So the networks that could contain an
address are computed beside the table, and all is compared for equality.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from audit.changes import differences
from audit.event import Action, Actor
from audit.imports import ImportEvent
from audit.outbox import Outbox
from services.network.ingest import Changes, changes
from services.network.model import Address, Asset, AssetKey, MacAddress, Network, Prefix, short_key
from services.runtime.database import Connection, Database

AUDIT: Final = Outbox("network")
_ASSETS: Final = """
select a.name, a.type, a.site, a.role, a.model, a.serial, a.operating_system, a.owner, a.criticality, a.notes,
       array(select i.address from network.asset_addresses i
             where i.tenant_id = a.tenant_id and i.name_key = a.name_key order by i.position) as addresses,
       array(select m.mac_address from network.asset_macs m
             where m.tenant_id = a.tenant_id and m.name_key = a.name_key order by m.position) as mac_addresses
from network.assets a
where a.tenant_id = $1
"""
_PREFIX_COLUMNS: Final = "prefix, site, vlan_id, vlan_name, role, gateway, description"
_PREFIXES: Final = f"select {_PREFIX_COLUMNS} from network.prefixes where tenant_id = $1"  # noqa: S608 - constants
FIND_ASSETS: Final = f"""
{_ASSETS} and a.name_key in (
    select name_key from network.asset_addresses where tenant_id = $1 and address = any($2::inet[])
    union select name_key from network.asset_macs where tenant_id = $1 and mac_address = any($3::text[])
    union select name_key from network.assets where tenant_id = $1 and name_key = any($4::text[])
    union select name_key from network.assets where tenant_id = $1 and short_key = any($5::text[])
) order by a.name_key
"""  # noqa: S608 - composed of constants
FIND_PREFIXES: Final = f"""
select asked, found.* from unnest($2::cidr[]) as asked cross join lateral (
    {_PREFIXES} and prefix = any(array(
        select set_masklen(asked, length) from generate_series(0, masklen(asked)) as length
    )) order by masklen(prefix) desc limit 1
) as found
"""  # noqa: S608 - composed of constants
_KEPT_PREFIXES: Final = f"{_PREFIXES} and prefix = any($2::cidr[])"


class Inventory:
    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reading"]:
        """One transaction for what one lookup reads."""
        async with self._database.tenant(self._tenant) as connection:
            yield Reading(connection, self._tenant)

    async def asset(self, key: AssetKey) -> Asset | None:
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(f"{_ASSETS} and a.name_key = $2", self._tenant, key)
        return _asset(row) if row is not None else None

    async def assets_after(self, key: AssetKey | None, count: int) -> Sequence[Asset]:
        """By name, from the beginning if there is no key."""
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(
                f"{_ASSETS} and a.name_key > $2 order by a.name_key limit $3", self._tenant, key or "", count
            )
        return [_asset(row) for row in rows]

    async def prefixes_after(self, network: Network | None, count: int) -> Sequence[Prefix]:
        """In address order, from the beginning if there is no network."""
        async with self._database.tenant(self._tenant) as connection:
            rows = await connection.fetch(
                f"{_PREFIXES} and ($2::cidr is null or prefix > $2) order by prefix limit $3",
                self._tenant,
                network,
                count,
            )
        return [_prefix(row) for row in rows]

    async def delete_asset(self, key: AssetKey, *, by: Actor) -> bool:
        async with self._database.tenant(self._tenant) as connection:
            await self._lock(connection)
            row = await connection.fetchrow(f"{_ASSETS} and a.name_key = $2", self._tenant, key)
            if row is None:
                return False
            await connection.execute(
                "delete from network.assets where tenant_id = $1 and name_key = $2", self._tenant, key
            )
            asset = _asset(row)
            action = Action("DeleteAsset", f"assets/{asset.name}", differences(asset, None, without={"name"}))
            await AUDIT.add(connection, self._tenant, by, action)
        return True

    async def delete_prefix(self, network: Network, *, by: Actor) -> bool:
        async with self._database.tenant(self._tenant) as connection:
            row = await connection.fetchrow(
                f"delete from network.prefixes where tenant_id = $1 and prefix = $2"  # noqa: S608 - constants
                f" returning {_PREFIX_COLUMNS}",
                *(self._tenant, network),
            )
            if row is None:
                return False
            changes = differences(_prefix(row), None, without={"network"})
            await AUDIT.add(
                connection, self._tenant, by, Action("DeletePrefix", f"prefixes/{network}", changes)
            )
        return True

    async def save_assets(self, event: ImportEvent, assets: Sequence[Asset]) -> Changes[Asset]:
        async with self._database.tenant(self._tenant) as connection:
            await self._lock(connection)
            rows = await connection.fetch(
                f"{_ASSETS} and a.name_key = any($2::text[])", self._tenant, [asset.key for asset in assets]
            )
            found = changes(assets, {asset.key: asset for asset in map(_asset, rows)})
            await self._write_assets(connection, found.to_write)
            await event.count(connection, created=found.created, updated=found.updated)
        return found

    async def save_prefixes(self, event: ImportEvent, prefixes: Sequence[Prefix]) -> Changes[Prefix]:
        async with self._database.tenant(self._tenant) as connection:
            await self._lock(connection)
            rows = await connection.fetch(
                _KEPT_PREFIXES,
                self._tenant,
                [prefix.network for prefix in prefixes],
            )
            found = changes(prefixes, {prefix.key: prefix for prefix in map(_prefix, rows)})
            await connection.executemany(
                """
                insert into network.prefixes
                    (tenant_id, prefix, site, vlan_id, vlan_name, role, gateway, description)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                on conflict (tenant_id, prefix) do update set
                    site = excluded.site, vlan_id = excluded.vlan_id, vlan_name = excluded.vlan_name,
                    role = excluded.role, gateway = excluded.gateway, description = excluded.description
                """,
                [
                    (
                        self._tenant,
                        p.network,
                        p.site,
                        p.vlan_id,
                        p.vlan_name,
                        p.role,
                        p.gateway,
                        p.description,
                    )
                    for p in found.to_write
                ],
            )
            await event.count(connection, created=found.created, updated=found.updated)
        return found

    async def _lock(self, connection: Connection) -> None:
        """One batch of a tenant at a time: counts are exact, and two imports never deadlock."""
        await connection.execute(
            "select pg_advisory_xact_lock(hashtext('network.inventory'), hashtext($1))", self._tenant
        )

    async def _write_assets(self, connection: Connection, assets: Sequence[Asset]) -> None:
        await connection.executemany(
            """
            insert into network.assets
                (tenant_id, name_key, short_key, name, type, site, role, model, serial, operating_system,
                 owner, criticality, notes)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            on conflict (tenant_id, name_key) do update set
                name = excluded.name, type = excluded.type, site = excluded.site, role = excluded.role,
                model = excluded.model, serial = excluded.serial,
                operating_system = excluded.operating_system, owner = excluded.owner,
                criticality = excluded.criticality, notes = excluded.notes
            """,
            [
                (
                    *(self._tenant, a.key, short_key(a.key), a.name, a.type, a.site, a.role, a.model),
                    *(a.serial, a.operating_system, a.owner, a.criticality, a.notes),
                )
                for a in assets
            ],
        )
        await self._write_details(connection, assets)

    async def _write_details(self, connection: Connection, assets: Sequence[Asset]) -> None:
        keys = [asset.key for asset in assets]
        for table in ("asset_addresses", "asset_macs"):
            await connection.execute(
                f"delete from network.{table} where tenant_id = $1 and name_key = any($2::text[])",  # noqa: S608 - the two names above
                self._tenant,
                keys,
            )
        await connection.executemany(
            """
            insert into network.asset_addresses (tenant_id, name_key, position, address)
            values ($1, $2, $3, $4)
            """,
            [
                (self._tenant, asset.key, position, address)
                for asset in assets
                for position, address in enumerate(asset.addresses)
            ],
        )
        await connection.executemany(
            """
            insert into network.asset_macs (tenant_id, name_key, position, mac_address)
            values ($1, $2, $3, $4)
            """,
            [
                (self._tenant, asset.key, position, mac)
                for asset in assets
                for position, mac in enumerate(asset.mac_addresses)
            ],
        )


class Reading:
    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def assets(
        self,
        *,
        addresses: Collection[Address],
        mac_addresses: Collection[MacAddress],
        keys: Collection[AssetKey],
        short_keys: Collection[AssetKey],
    ) -> Sequence[Asset]:
        """Those that have any of these, by name."""
        rows = await self._connection.fetch(
            FIND_ASSETS,
            self._tenant,
            list(addresses),
            list(mac_addresses),
            list(keys),
            list(short_keys),
        )
        return [_asset(row) for row in rows]

    async def prefixes(self, networks: Collection[Network]) -> Mapping[Network, Prefix]:
        """The most specific that each of these is in."""
        rows = await self._connection.fetch(FIND_PREFIXES, self._tenant, list(networks))
        return {row["asked"]: _prefix(row) for row in rows}


def _asset(row: asyncpg.Record) -> Asset:
    return Asset(
        name=row["name"],
        type=row["type"],
        addresses=tuple(row["addresses"]),
        mac_addresses=tuple(row["mac_addresses"]),
        site=row["site"],
        role=row["role"],
        model=row["model"],
        serial=row["serial"],
        operating_system=row["operating_system"],
        owner=row["owner"],
        criticality=row["criticality"],
        notes=row["notes"],
    )


def _prefix(row: asyncpg.Record) -> Prefix:
    return Prefix(
        network=row["prefix"],
        site=row["site"],
        vlan_id=row["vlan_id"],
        vlan_name=row["vlan_name"],
        role=row["role"],
        gateway=row["gateway"],
        description=row["description"],
    )
