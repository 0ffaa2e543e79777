"""The directory of tenants in PostgreSQL.

Its callers have checked who asks: a tenant's rows are reached in that tenant's transaction, and what looks
across tenants goes through functions of the database that can do nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from audit.event import Action, Actor
from services.runtime.database import Connection, Database, Row
from services.runtime.notices import Notices
from services.tenants import store_evaluations
from services.tenants.audit import NOTHING_REMOVED, Anchor, AuditEvent, ReportedEvent
from services.tenants.differences import differences
from services.tenants.errors import TenantDeleting, TenantNotFound
from services.tenants.model import (
    OPERATOR,
    ApiKey,
    KeptApiKey,
    KeptEvaluation,
    KeyHolder,
    KnowledgeBase,
    NewTenant,
    QueueSettings,
    RetrievalSettings,
    Role,
    SecretKind,
    Tenant,
    TenantId,
    TenantState,
    WebhookSecretVersion,
)
from services.tenants.rows import (
    NotAnEvent,
    event_of,
    key_of,
    knowledge_bases_of,
    queue_of,
    retrieval_of,
    secret_of,
    tenant_of,
)
from services.tenants.sealing import KeptSecret
from services.tenants.store_audit import append, append_all
from services.tenants.store_change import Change, KeyChange, add_key, add_secrets, add_tenant

Setting = TypeVar("Setting")

# One that is current and one that is being replaced.
_LIVE_VERSIONS: Final = 2
_EVENTS_AT_ONCE: Final = 100
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
    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._notices = notices
        self._changing: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def changing(self, tenant: TenantId, actor: Actor) -> AsyncIterator[Change]:
        """One transaction in which nobody else changes the tenant.

        Who believes something of the tenant is told when it is committed. Raises `TenantNotFound`, and
        `TenantDeleting` for one that is on its way out.
        """
        async with self._locked(tenant) as (connection, row):
            found = tenant_of(row)
            if found.state is TenantState.DELETING:
                raise TenantDeleting(tenant)
            change = Change(connection, found, actor)
            yield change
        if change.recorded:
            await self.announce(tenant)

    @asynccontextmanager
    async def changing_keys(self, tenant: TenantId | None, actor: Actor) -> AsyncIterator[KeyChange]:
        """The same, of a client's keys; without one, of the operator's own."""
        if tenant is not None:
            async with self.changing(tenant, actor) as change:
                yield change
            return
        turn = self._changing.setdefault(OPERATOR, asyncio.Lock())
        async with turn, self._operators_own() as connection:
            yield KeyChange(connection, OPERATOR, actor)

    @asynccontextmanager
    async def _operators_own(self) -> AsyncIterator[Connection]:
        """As `_locked`, of what is no client's and so has no row."""
        async with self._database.tenant(OPERATOR) as connection:
            await connection.execute("select pg_advisory_xact_lock(hashtextextended('tenants.operator', 0))")
            yield connection

    @asynccontextmanager
    async def _locked(self, tenant: TenantId) -> AsyncIterator[tuple[Connection, Row]]:
        # One at a time waits for the row: the others would hold connections that other tenants need.
        turn = self._changing.setdefault(tenant, asyncio.Lock())
        async with turn, self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(
                "select * from tenants.tenants where tenant_id = $1 for no key update", tenant
            )
            if row is None:
                raise TenantNotFound(tenant)
            yield connection, row

    async def add(
        self,
        new: NewTenant,
        *,
        actor: Actor,
        request_id: str,
        secrets: Sequence[KeptSecret],
        api_key: ApiKey,
    ) -> Tenant | None:
        """None, and nothing written, when there is a tenant of that id."""
        async with self._database.tenant(new.id) as connection:
            row = await add_tenant(connection, new, request_id=request_id)
            if row is None:
                return None
            await add_secrets(connection, secrets)
            await add_key(connection, new.id, api_key)
            action = Action("CreateTenant", "tenant", differences(None, new))
            await append(connection, new.id, actor, action, settings=None)
        # Somebody may have asked for it before it was there.
        await self.announce(new.id)
        return tenant_of(row)

    async def announce(self, tenant: TenantId) -> None:
        """Tell everybody that what they believe of the tenant may be wrong."""
        await self._notices.publish(tenant)

    async def added_by_request(self, tenant: TenantId, request_id: str) -> Tenant | None:
        """The tenant, if that request added it within the last 24 hours."""
        async with self._database.tenant(tenant) as connection:
            row = await connection.fetchrow(
                """
                select * from tenants.tenants
                where tenant_id = $1 and request_id = $2 and create_time > now() - interval '24 hours'
                    and state <> 'deleting'
                """,
                tenant,
                request_id,
            )
        return tenant_of(row) if row is not None else None

    async def tenant(self, tenant: TenantId) -> Tenant | None:
        async with self._database.tenant(tenant) as connection:
            return await self._tenant(connection, tenant)

    async def tenants_after(self, tenant: TenantId | None, count: int) -> Sequence[Tenant]:
        """By id, from the beginning if none is given."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch("select * from tenants.tenants_after($1, $2)", tenant or "", count)
        return [tenant_of(row) for row in rows]

    async def queue_shares_after(
        self, tenant: TenantId | None, count: int
    ) -> Sequence[tuple[TenantId, QueueSettings]]:
        """Those that are not the usual one, by tenant, from the beginning if none is given."""
        return await self._after("tenants.queue_shares_after", tenant, count, queue_of)

    async def retrieval_settings_after(
        self, tenant: TenantId | None, count: int
    ) -> Sequence[tuple[TenantId, RetrievalSettings]]:
        """Those that are not as calibrated, by tenant, from the beginning if none is given."""
        return await self._after("tenants.retrieval_settings_after", tenant, count, retrieval_of)

    async def knowledge_bases_after(
        self, tenant: TenantId | None, count: int
    ) -> Sequence[tuple[TenantId, tuple[KnowledgeBase, ...]]]:
        """Those of served clients that have any, by tenant, from the beginning if none is given."""
        return await self._after("tenants.knowledge_bases_after", tenant, count, knowledge_bases_of)

    async def _after(
        self, function: str, tenant: TenantId | None, count: int, read: Callable[[Row], Setting]
    ) -> Sequence[tuple[TenantId, Setting]]:
        """What is given of each by a function of the database that looks across tenants."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"select * from {function}($1, $2)",  # noqa: S608 - a name of our own
                tenant or "",
                count,
            )
        return [(TenantId(row["tenant_id"]), read(row)) for row in rows]

    async def evaluations_before(
        self, tenant: TenantId, before: tuple[datetime, str] | None, count: int
    ) -> Sequence[KeptEvaluation]:
        async with self._database.tenant(tenant) as connection:
            return await store_evaluations.page_before(connection, tenant, before, count)

    async def live_secrets(
        self, tenant: TenantId, kind: SecretKind
    ) -> tuple[Tenant | None, Sequence[KeptSecret]]:
        """The tenant, and its secrets of that kind that count, the newest first."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(_LIVE_SECRETS, tenant, kind.value, _LIVE_VERSIONS)
        return tenant_of(rows[0]) if rows else None, [
            secret_of(row, tenant, kind) for row in rows if row["secret_id"] is not None
        ]

    async def secret_versions(self, tenant: TenantId, kind: SecretKind) -> Sequence[WebhookSecretVersion]:
        """All that are kept, whether they count or not, the newest first."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                """
                select secret_id, version, create_time, expire_time, last_used_time from tenants.secrets
                where tenant_id = $1 and kind = $2 order by version desc
                """,
                tenant,
                kind.value,
            )
        return [WebhookSecretVersion(*row) for row in rows]

    async def secrets_sealed_without(self, tenant: TenantId, key_id: str) -> Sequence[KeptSecret]:
        """Those that count and are not sealed with that key: what has expired is never opened again."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                """
                select *, version as secret_version from tenants.secrets
                where tenant_id = $1 and key_id <> $2 and (expire_time is null or expire_time > now())
                order by kind, version
                """,
                tenant,
                key_id,
            )
        return [secret_of(row, tenant, SecretKind(row["kind"])) for row in rows]

    async def secrets_used(self, tenant: TenantId, uses: Mapping[str, datetime]) -> None:
        """Note it once a minute: a busy tool must not cost a write a webhook."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """
                update tenants.secrets s set last_used_time = least(u.use_time, now())
                from unnest($2::text[], $3::timestamptz[]) as u (secret_id, use_time)
                where s.tenant_id = $1 and s.secret_id = u.secret_id
                  and (s.last_used_time is null or s.last_used_time < u.use_time - interval '1 minute')
                """,
                tenant,
                list(uses),
                list(uses.values()),
            )

    async def keys_before(
        self, tenant: TenantId, before: tuple[datetime, str] | None, count: int
    ) -> Sequence[KeptApiKey]:
        """The newest first; `before` is the last one's time of creation and id."""
        time, key_id = before or (None, None)
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                """
                select * from tenants.api_keys
                where tenant_id = $1 and ($2::timestamptz is null or (create_time, key_id) < ($2, $3))
                order by create_time desc, key_id desc limit $4
                """,
                tenant,
                time,
                key_id,
                count,
            )
        return [key_of(row) for row in rows]

    async def events_after(self, tenant: TenantId, sequence: int, count: int) -> Sequence[AuditEvent]:
        """The oldest first."""
        return [event_of(row) for row in await self._events_after(tenant, sequence, count)]

    async def audit_log(self, tenant: TenantId) -> tuple[Anchor, AsyncIterator[AuditEvent | None]]:
        """Where the log begins, and all its events, the oldest first, some at a time; None cannot be read."""
        async with self._database.tenant(tenant) as connection:
            # In one statement, for the retention moves the anchor together with the events.
            rows = await connection.fetch(
                """
                select e.*, a.sequence as anchor_sequence, a.hash as anchor_hash
                from (select $1::text as tenant_id) t
                left join tenants.audit_anchors a using (tenant_id)
                left join (
                    select * from tenants.audit_events where tenant_id = $1 order by sequence limit $2
                ) e using (tenant_id)
                order by e.sequence
                """,
                tenant,
                _EVENTS_AT_ONCE,
            )
        anchored = bool(rows) and rows[0]["anchor_sequence"] is not None
        anchor = Anchor(rows[0]["anchor_sequence"], rows[0]["anchor_hash"]) if anchored else NOTHING_REMOVED
        return anchor, self._events(tenant, [row for row in rows if row["sequence"] is not None])

    async def _events(self, tenant: TenantId, rows: Sequence[Row]) -> AsyncIterator[AuditEvent | None]:
        while rows:
            for row in rows:
                try:
                    event = event_of(row)
                except NotAnEvent:
                    event = None
                yield event
            rows = await self._events_after(tenant, rows[-1]["sequence"], _EVENTS_AT_ONCE)

    async def _events_after(self, tenant: TenantId, sequence: int, count: int) -> Sequence[Row]:
        async with self._database.tenant(tenant) as connection:
            return await connection.fetch(
                """
                select * from tenants.audit_events
                where tenant_id = $1 and sequence > $2 order by sequence limit $3
                """,
                tenant,
                sequence,
                count,
            )

    async def record(self, tenant: TenantId | None, reported: Sequence[ReportedEvent]) -> int:
        """Into a client's log, or the operator's own; how many were not there. Raises `TenantNotFound`."""
        if tenant is None:
            async with self._operators_own() as connection:
                return await append_all(connection, OPERATOR, reported, settings=None)
        async with self._locked(tenant) as (connection, row):
            settings = tenant_of(row)
            if settings.state is TenantState.DELETING:
                # Its log goes, too.
                raise TenantNotFound(tenant)
            return await append_all(connection, tenant, reported, settings=settings)

    async def holder_of_key(self, key_hash: bytes) -> FoundKey | None:
        """Unless the key is revoked or expired, or its tenant is not served."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("select * from tenants.holder_of_key($1)", key_hash)
        if row is None:
            return None
        return FoundKey(KeyHolder(row["key_id"], row["tenant_id"], Role(row["role"])), row["hash"])

    async def _tenant(self, connection: Connection, tenant: TenantId) -> Tenant | None:
        row = await connection.fetchrow("select * from tenants.tenants where tenant_id = $1", tenant)
        return tenant_of(row) if row is not None else None
