"""The directory of tenants in PostgreSQL.

Its callers have checked who asks: a tenant's rows are reached in that tenant's transaction, and what looks
across tenants goes through two functions of the database that can do nothing else.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import asyncpg
import orjson

from services.runtime.database import Connection, Database
from services.tenants.model import (
    ApiKey,
    BriefSettings,
    ContextSource,
    KeyHolder,
    NewTenant,
    Role,
    SecretKind,
    Tenant,
    TenantId,
    TenantState,
    Ticketing,
)
from services.tenants.sealing import KeptSecret, Place, Sealed

# One that is current and one that is being replaced.
_LIVE_VERSIONS: Final = 2
_LIVE_SECRETS: Final = """
select tenants.*, live.* from tenants.tenants left join lateral (
    select secret_id, version as secret_version, key_id, wrapped_key, ciphertext, expire_time
    from tenants.secrets
    where tenant_id = $1 and kind = $2 and (expire_time is null or expire_time > now())
    order by version desc limit $3
) as live on true
where tenants.tenant_id = $1 order by secret_version desc
"""


@dataclass(frozen=True, slots=True)
class FoundKey:
    holder: KeyHolder
    hash: bytes


class Directory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, new: NewTenant, *, request_id: str, secrets: Sequence[KeptSecret], api_key: ApiKey
    ) -> Tenant | None:
        """None, and nothing written, when there is a tenant of that id."""
        async with self._database.tenant(new.id) as connection:
            row = await connection.fetchrow(
                """
                insert into tenants.tenants
                    (tenant_id, display_name, tool, base_url, options, language, model, max_words, sources,
                     request_id)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                on conflict do nothing
                returning *
                """,
                new.id,
                new.display_name,
                new.ticketing.tool,
                new.ticketing.base_url,
                orjson.dumps(dict(new.ticketing.options)).decode(),
                new.brief.language,
                new.brief.model,
                new.brief.max_words,
                orjson.dumps([asdict(source) for source in new.sources]).decode(),
                request_id,
            )
            if row is None:
                return None
            await self._add_secrets(connection, secrets)
            await connection.execute(
                "insert into tenants.api_keys (key_id, tenant_id, role, hash) values ($1, $2, $3, $4)",
                api_key.id,
                new.id,
                api_key.role.value,
                api_key.hash,
            )
        return _tenant(row)

    async def added_by_request(self, tenant: TenantId, request_id: str) -> Tenant | None:
        """The tenant, if that request added it within the last 24 hours."""
        async with self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(
                """
                select * from tenants.tenants
                where tenant_id = $1 and request_id = $2 and create_time > now() - interval '24 hours'
                """,
                tenant,
                request_id,
            )
        return _tenant(row) if row is not None else None

    async def tenant(self, tenant: TenantId) -> Tenant | None:
        async with self._database.tenant(tenant) as connection:
            return await self._tenant(connection, tenant)

    async def tenants_after(self, tenant: TenantId | None, count: int) -> Sequence[Tenant]:
        """By id, from the beginning if none is given."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select * from tenants.tenants_after($1, $2)", tenant or "", count)
        return [_tenant(row) for row in rows]

    async def live_secrets(
        self, tenant: TenantId, kind: SecretKind
    ) -> tuple[Tenant | None, Sequence[KeptSecret]]:
        """The tenant, and its secrets of that kind that count, the newest first."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(_LIVE_SECRETS, tenant, kind.value, _LIVE_VERSIONS)
        return _tenant(rows[0]) if rows else None, [
            KeptSecret(
                row["secret_id"],
                Place(tenant, kind, row["secret_version"]),
                Sealed(row["key_id"], row["wrapped_key"], row["ciphertext"]),
                row["expire_time"],
            )
            for row in rows
            if row["secret_id"] is not None
        ]

    async def holder_of_key(self, key_hash: bytes) -> FoundKey | None:
        """Unless the key is revoked or expired, or its tenant is not served."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("select * from tenants.holder_of_key($1)", key_hash)
        if row is None:
            return None
        return FoundKey(KeyHolder(row["key_id"], row["tenant_id"], Role(row["role"])), row["hash"])

    async def _tenant(self, connection: Connection, tenant: TenantId) -> Tenant | None:
        row = await connection.fetchrow("select * from tenants.tenants where tenant_id = $1", tenant)
        return _tenant(row) if row is not None else None

    async def _add_secrets(self, connection: Connection, secrets: Sequence[KeptSecret]) -> None:
        await connection.executemany(
            """
            insert into tenants.secrets
                (tenant_id, kind, version, secret_id, key_id, wrapped_key, ciphertext, expire_time)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            [
                (
                    *(each.place.tenant, each.place.kind.value, each.place.version, each.id),
                    *(each.sealed.key_id, each.sealed.wrapped_key, each.sealed.ciphertext),
                    each.expire_time,
                )
                for each in secrets
            ],
        )


def _tenant(row: asyncpg.Record) -> Tenant:
    return Tenant(
        id=TenantId(row["tenant_id"]),
        display_name=row["display_name"],
        ticketing=Ticketing(row["tool"], row["base_url"], orjson.loads(row["options"])),
        brief=BriefSettings(row["language"], row["model"], row["max_words"]),
        sources=tuple(ContextSource(**source) for source in orjson.loads(row["sources"])),
        state=TenantState(row["state"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
    )
