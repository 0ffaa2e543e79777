"""An id that no client has: what a former one left is looked for before it is given, or given up, again."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from audit.event import Actor
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from services.tenants.deletions import Deletions
from services.tenants.errors import TenantChanged
from services.tenants.model import TenantId
from services.tenants.remnants import Remnants
from services.tenants.tenant_data import tenant_rows
from tests.support.databases import TestDatabase
from tests.tenants.client import Client

ACTOR = Actor("cli", "cli", "operator", "request-1")


class Hanging:
    name = "history"

    async def count(self, tenant: str) -> Mapping[str, int]:
        await asyncio.Event().wait()
        return {tenant: 0}


async def test_a_service_that_hangs_is_waited_for_some_seconds_and_named(
    deletions: Deletions, database: TestDatabase
) -> None:
    connection = await asyncpg.connect(database.url("tenants"))
    await connection.execute(
        "insert into tenants.deletions"
        " (deletion_id, client, principal, subject, request_id, audit_events, audit_head, end_time)"
        " values (gen_random_uuid(), 'acme', 'key-1', 'gateway', 'request-1', 0, '', now())"
    )
    await connection.close()
    remnants = Remnants(deletions, [Hanging()])

    async with asyncio.timeout(10):
        await remnants.require_none(TenantId("globex"))
        with pytest.raises(DependencyUnavailable) as refused:
            await remnants.require_none(TenantId("acme"))

    assert refused.value.message == (
        "history has not said within 3 s whether anything of a former client acme is left;"
        " try again when it answers"
    )


@pytest.fixture
async def deletions(database: TestDatabase) -> AsyncIterator[Deletions]:
    pool = Database.lazy(database.url("tenants"), role="dossier_tenants")
    yield Deletions(pool, tenant_rows(pool, audit_days=None))
    await pool.close()


async def test_a_client_made_while_remnants_were_looked_for_is_not_what_is_deleted(
    operator: Client, deletions: Deletions
) -> None:
    made = await operator.create()

    with pytest.raises(TenantChanged):
        await deletions.begin(TenantId("acme"), ACTOR, remnants=True)

    assert await operator.get("acme") == made.tenant
    assert not (await operator.deletions()).deletions


async def test_remnants_are_deleted_once(deletions: Deletions) -> None:
    first, second = await asyncio.gather(
        *(deletions.begin(TenantId("acme"), ACTOR, remnants=True) for _ in range(2))
    )
    again = await deletions.begin(TenantId("acme"), ACTOR, remnants=True)

    assert first.id == second.id == again.id
