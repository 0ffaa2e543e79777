"""How long things are kept, above all the audit log: the oldest goes, and what is left fits together."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import grpc
import orjson
import pytest

from dossier.tenants.v1.tenant_pb2 import BriefSettings, Retention, Tenant
from services.runtime.database import Database
from services.tenants.audit import FIRST, _sealed
from services.tenants.rows import event_of
from services.tenants.tenant_data import tenant_rows
from tenantdata.rows import TenantRows
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client, tenant
from tests.tenants.failures import failure_of

Owner = asyncpg.Connection
EVENTS = 5


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator["Owner[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def rows(database: TestDatabase) -> AsyncIterator[TenantRows]:
    pool = Database.lazy(database.url("tenants"), role="dossier_tenants")
    yield tenant_rows(pool, audit_days=None)
    await pool.close()


@pytest.fixture
async def log(operator: Client, owner: "Owner[asyncpg.Record]") -> list[str]:
    """The hashes of five events of acme's: 100, 99, 98, 0 and 0 days old. Globex has as many, as old."""
    for name in ("acme", "globex"):
        await operator.create(tenant(name))
        for language in ("de", "fr", "it", "es"):
            await operator.update(name, Tenant(brief=BriefSettings(language=language)), "brief.language")
        await backdate(owner, name, days=[100, 99, 98, 0, 0])
    return [event.hash for event in await operator.events("acme")]


async def backdate(owner: "Owner[asyncpg.Record]", name: str, *, days: list[int]) -> None:
    """As if the events had been recorded so long ago."""
    rows = await owner.fetch(
        "select * from tenants.audit_events where tenant_id = $1 order by sequence", name
    )
    previous = FIRST
    for row, ago in zip(rows, days, strict=True):
        event = event_of(row)
        origin = replace(event.origin, time=event.origin.time - timedelta(days=ago))
        event = _sealed(replace(event, origin=origin), previous)
        previous = event.hash
        await owner.execute(
            "update tenants.audit_events set create_time = $3, hash = $4"
            " where tenant_id = $1 and sequence = $2",
            *(name, event.sequence, event.origin.time, event.hash),
        )


async def test_the_oldest_events_go_and_what_is_left_is_whole(
    operator: Client, rows: TenantRows, log: list[str]
) -> None:
    assert await rows.expire("acme", 99.5) == (1, False)
    assert await rows.expire("acme", 90) == (2, False)
    assert await rows.expire("acme", 90) == (0, False)

    verdict = await operator.verify("acme", known_hash=log[-1])
    assert (verdict.events, verdict.removed_events, verdict.broken_at) == (2, 3, 0)
    assert (verdict.head_hash, verdict.known_hash_found) == (log[-1], True)
    assert [event.sequence for event in await operator.events("acme")] == [4, 5]
    assert (await operator.verify("acme", known_hash=log[2])).known_hash_found
    assert not (await operator.verify("acme", known_hash=log[1])).known_hash_found
    others = await operator.verify("globex")
    assert (others.events, others.removed_events, others.broken_at) == (EVENTS, 0, 0)


async def test_the_log_goes_on_after_some_of_it_expired(
    operator: Client, rows: TenantRows, log: list[str]
) -> None:
    await rows.expire("acme", 90)

    await operator.suspend("acme")

    verdict = await operator.verify("acme")
    assert (verdict.events, verdict.removed_events, verdict.broken_at) == (3, 3, 0)


async def test_the_newest_event_stays_however_old(
    operator: Client, rows: TenantRows, owner: "Owner[asyncpg.Record]", log: list[str]
) -> None:
    await backdate(owner, "acme", days=[200, 200, 200, 200, 200])

    assert await rows.expire("acme", 90) == (EVENTS - 1, False)
    await operator.suspend("acme")

    verdict = await operator.verify("acme")
    assert (verdict.events, verdict.removed_events, verdict.broken_at) == (2, EVENTS - 1, 0)


async def test_without_a_setting_nothing_goes(rows: TenantRows, log: list[str]) -> None:
    assert await rows.expire("acme", 0) == (0, False)


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("delete from tenants.audit_events where sequence = 4", 4),
        ("update tenants.audit_events set principal = 'nobody' where sequence = 4", 4),
        ("update tenants.audit_anchors set hash = decode(repeat('01', 32), 'hex')", 4),
        ("update tenants.audit_anchors set sequence = 2", 3),
        ("delete from tenants.audit_anchors", 1),
        ("delete from tenants.audit_events", 4),
    ],
)
async def test_what_the_databases_owner_changed_shows_after_expiry_too(
    operator: Client,
    rows: TenantRows,
    owner: "Owner[asyncpg.Record]",
    log: list[str],
    *,
    tampering: str,
    broken_at: int,
) -> None:
    await rows.expire("acme", 90)
    await owner.execute(f"{tampering} {'and' if 'where' in tampering else 'where'} tenant_id = 'acme'")

    verdict = await operator.verify("acme", known_hash=log[-1])

    assert (verdict.broken_at, verdict.head_hash) == (broken_at, "")
    assert not verdict.known_hash_found


@pytest.mark.parametrize(
    "statement",
    [
        "select tenants.expire_audit_events('acme', 89 * 86400, 1000)",
        "select tenants.expire_audit_events('acme', null, 1000)",
        "select tenants.expire_audit_events('globex', 90 * 86400, 1000)",
        "select tenants.erase_audit_events(1000)",
        "select tenants.erase_audit_anchors(1000)",
        "delete from tenants.audit_events",
        "delete from tenants.audit_anchors",
        "update tenants.audit_anchors set sequence = 5",
        "insert into tenants.audit_anchors values ('acme', 5, '')",
    ],
)
async def test_the_service_itself_removes_no_other_events(
    database: TestDatabase, log: list[str], statement: str
) -> None:
    connection = await asyncpg.connect(database.url("tenants"))
    async with connection.transaction():
        await connection.execute("select set_config('dossier.tenant', 'acme', true)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_an_admin_says_how_long_things_are_kept_but_for_the_log_of_who_changed_what(
    operator: Client, keys: Keys
) -> None:
    await operator.create()
    admin = Client(operator.stub, keys.metadata("tenants", role="admin", subject="gateway"))
    wanted = Tenant(retention=Retention(run_days=7, audit_days=90))

    updated = await admin.update("acme", wanted, "retention.run_days")
    assert [(each.field, each.before, each.after) for each in updated.changes] == [
        ("retention.run_days", "30", "7")
    ]
    for path in ("retention", "retention.audit_days"):
        refused = await failure_of(admin.update("acme", wanted, path))
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED")

    await operator.update("acme", wanted, "retention")
    assert (await operator.get("acme")).retention == Retention(run_days=7, audit_days=90)
    events = await operator.events("acme")
    assert [orjson.loads(each.after) for each in events[-1].changes if each.after] == [90]


@pytest.mark.parametrize(
    "days",
    [{"ticket_days": 29}, {"run_days": 3}, {"ledger_days": 61}, {"audit_days": 89}, {"audit_days": 3651}],
)
async def test_less_than_the_least_or_more_than_the_most_is_refused_by_name(
    operator: Client, days: dict[str, int]
) -> None:
    await operator.create()
    (name,) = days

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await operator.update("acme", Tenant(retention=Retention(**days)), f"retention.{name}")

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"tenant.retention.{name}" in (refused.value.details() or "")
