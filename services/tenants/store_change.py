"""One change, in a transaction that has locked whose it is. What is written comes with its audit event."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from audit.event import Action, Actor
from services.runtime.database import Connection, Row
from services.tenants import store_evaluations
from services.tenants.model import (
    ApiKey,
    Evaluation,
    KeptApiKey,
    KeptEvaluation,
    NewTenant,
    SecretKind,
    Tenant,
    TenantId,
)
from services.tenants.rows import SETTINGS, key_of, secret_of, settings_of, tenant_of
from services.tenants.sealing import KeptSecret, Sealed
from services.tenants.store_audit import append

_ASSIGNMENTS = ", ".join(f"{name} = ${number}" for number, name in enumerate(SETTINGS, start=3))

_REVISIONS = len(SETTINGS) + 3
_INSERT = f"""
    insert into tenants.tenants (tenant_id, request_id, {", ".join(SETTINGS)})
    values ($1, $2, {", ".join(f"${number}" for number in range(3, 3 + len(SETTINGS)))})
    on conflict do nothing
    returning *
"""  # noqa: S608 - names of our own


class KeyChange:
    """Of the API keys of a client, or of the operator itself."""

    def __init__(self, connection: Connection, owner: TenantId, actor: Actor) -> None:
        self._connection = connection
        self._owner = owner
        self._actor = actor
        self._settings: NewTenant | None = None
        self.recorded = False

    async def good_keys(self) -> int:
        count: int = await self._connection.fetchval(
            """
            select count(*) from tenants.api_keys
            where tenant_id = $1 and revoke_time is null and (expire_time is null or expire_time > now())
            """,
            self._owner,
        )
        return count

    async def add_key(self, key: ApiKey, action: Action) -> KeptApiKey:
        kept = await add_key(self._connection, self._owner, key)
        await self.record(action)
        return kept

    async def key(self, key_id: str) -> KeptApiKey | None:
        row = await self._connection.fetchrow(
            "select * from tenants.api_keys where tenant_id = $1 and key_id = $2", self._owner, key_id
        )
        return key_of(row) if row is not None else None

    async def revoke_key(self, key_id: str, action: Action) -> KeptApiKey:
        row = await self._connection.fetchrow(
            """
            update tenants.api_keys set revoke_time = now()
            where tenant_id = $1 and key_id = $2 returning *
            """,
            self._owner,
            key_id,
        )
        await self.record(action)
        return key_of(_present(row))

    async def record(self, action: Action) -> None:
        await append(self._connection, self._owner, self._actor, action, settings=self._settings)
        self.recorded = True


class Change(KeyChange):
    """Of all that there is of a client."""

    def __init__(self, connection: Connection, tenant: Tenant, actor: Actor) -> None:
        super().__init__(connection, tenant.id, actor)
        self.tenant = self._settings = tenant

    async def save(self, tenant: Tenant, action: Action) -> Tenant:
        row = await self._connection.fetchrow(
            f"""
            update tenants.tenants
            set state = $2, {_ASSIGNMENTS}, version = version + 1, update_time = now(),
                revision = revision + ${_REVISIONS}
            where tenant_id = $1 returning *
            """,  # noqa: S608 - names of our own
            tenant.id,
            tenant.state.value,
            *settings_of(tenant),
            int(settings_of(tenant) != settings_of(self.tenant)),
        )
        await self.record(action)
        return tenant_of(_present(row))

    async def live_secrets(self, kind: SecretKind) -> Sequence[KeptSecret]:
        """The newest first."""
        rows = await self._connection.fetch(
            """
            select *, version as secret_version from tenants.secrets
            where tenant_id = $1 and kind = $2 and (expire_time is null or expire_time > now())
            order by version desc
            """,
            self.tenant.id,
            kind.value,
        )
        return [secret_of(row, self.tenant.id, kind) for row in rows]

    async def is_recent(self, secret: KeptSecret, age: timedelta) -> bool:
        recent: bool = await self._connection.fetchval(
            """
            select exists (
                select from tenants.secrets
                where tenant_id = $1 and secret_id = $2 and create_time > now() - $3::interval
            )
            """,
            self.tenant.id,
            secret.id,
            age,
        )
        return recent

    async def is_recorded(self, resource: str) -> bool:
        recorded: bool = await self._connection.fetchval(
            "select exists (select from tenants.audit_events where tenant_id = $1 and resource = $2)",
            self.tenant.id,
            resource,
        )
        return recorded

    async def next_version(self, kind: SecretKind) -> int:
        last: int | None = await self._connection.fetchval(
            "select max(version) from tenants.secrets where tenant_id = $1 and kind = $2",
            self.tenant.id,
            kind.value,
        )
        return (last or 0) + 1

    async def let_expire(self, kind: SecretKind, until: datetime | None) -> datetime | None:
        """Let the current secret count until then (None: no more) and older ones no more.

        Returns until when one goes on to count. What does not count is not kept.
        """
        await self._connection.execute(
            """
            delete from tenants.secrets
            where tenant_id = $1 and kind = $2 and (expire_time is not null or $3::timestamptz is null)
            """,
            self.tenant.id,
            kind.value,
            until,
        )
        goes_on: datetime | None = await self._connection.fetchval(
            """
            update tenants.secrets set expire_time = $3
            where tenant_id = $1 and kind = $2 returning expire_time
            """,
            self.tenant.id,
            kind.value,
            until,
        )
        return goes_on

    async def add_secret(self, secret: KeptSecret, action: Action) -> None:
        await add_secrets(self._connection, [secret])
        await self.record(action)

    async def replace_secret(self, secret: KeptSecret) -> None:
        """Of a change whose event tells of it."""
        await add_secrets(self._connection, [secret])

    async def add_evaluation(
        self, evaluation_id: str, evaluation: Evaluation, action: Action
    ) -> KeptEvaluation:
        """Give the one of that id, which may be there already. The oldest goes where there are too many."""
        added = await store_evaluations.insert(self._connection, self.tenant.id, evaluation_id, evaluation)
        if added is not None:
            await store_evaluations.remove_oldest(self._connection, self.tenant.id)
            await self.record(action)
            return added
        known = await store_evaluations.read(self._connection, self.tenant.id, evaluation_id)
        if known is None:
            raise LookupError("the evaluation is gone")
        return known

    async def reseal(self, secrets: Sequence[tuple[KeptSecret, Sealed]], action: Action) -> int:
        """How many were still there as they were read."""
        resealed = 0
        for kept, sealed in secrets:
            resealed += await self._connection.fetchval(
                """
                with resealed as (
                    update tenants.secrets set key_id = $5, wrapped_key = $6, ciphertext = $7
                    where tenant_id = $1 and kind = $2 and version = $3 and wrapped_key = $4
                    returning version
                ) select count(*) from resealed
                """,
                *(kept.place.tenant, kept.place.kind.value, kept.place.version, kept.sealed.wrapped_key),
                *(sealed.key_id, sealed.wrapped_key, sealed.ciphertext),
            )
        if resealed:
            await self.record(action)
        return resealed


async def add_tenant(connection: Connection, new: NewTenant, *, request_id: str) -> Row | None:
    """None when there is one of that id."""
    return await connection.fetchrow(_INSERT, new.id, request_id, *settings_of(new))


async def add_key(connection: Connection, tenant: TenantId, key: ApiKey) -> KeptApiKey:
    row = await connection.fetchrow(
        """
        insert into tenants.api_keys (key_id, tenant_id, role, hash, display_name, expire_time)
        values ($1, $2, $3, $4, $5, $6) returning *
        """,
        *(key.id, tenant, key.role.value, key.hash, key.display_name, key.expire_time),
    )
    return key_of(_present(row))


async def add_secrets(connection: Connection, secrets: Sequence[KeptSecret]) -> None:
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


def _present(row: Row | None) -> Row:
    """Of a statement that always returns a row, its own having been locked before."""
    if row is None:
        raise LookupError("the row is gone")
    return row
