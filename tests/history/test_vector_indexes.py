"""Who has many vectors searches them by an index of its own, and meets no row of another tenant."""

import hashlib
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from dossier.history.v1.past_ticket_pb2 import PastTicket
from services.history.store import tend_vector_indexes
from services.runtime.database import Database
from tests.history.client import Client
from tests.support.databases import TestDatabase

FEW = 500
ROWS = 2_000
NEAREST = "select ticket_id from history.find_nearest($1::text::public.halfvec, 'model', $2, 100)"


def index_of(tenant: str) -> str:
    return f"ticket_vectors_of_{hashlib.md5(tenant.encode(), usedforsecurity=False).hexdigest()}"


def vector(seed: str) -> str:
    draw = random.Random(seed)  # noqa: S311 - the same each time
    return f"[{','.join(f'{draw.gauss():.3f}' for _ in range(384))}]"


async def fill(client: Client, database: TestDatabase, tenant: str) -> None:
    await client.import_in_chunks([PastTicket(id=str(at), title=f"Matter{at}") for at in range(ROWS)])
    role = await asyncpg.connect(database.url("history"))
    try:
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', $1, true)", tenant)
            await role.executemany(
                "insert into history.ticket_vectors (source, ticket_id, model, vector)"
                " values ('import', $1, 'model', $2::text::public.halfvec)",
                [(str(at), vector(f"{tenant}-{at}")) for at in range(ROWS)],
            )
    finally:
        await role.close()


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[Database]:
    pool = Database.lazy(database.url("history"), role="dossier_history")
    yield pool
    await pool.close()


@pytest.fixture
async def admin(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    admin = await asyncpg.connect(database.admin_url)
    yield admin
    await admin.close()


async def nearest(pool: Database, tenant: str, question: str, *, few: bool) -> list[str]:
    async with pool.tenant(tenant) as connection:
        return [row["ticket_id"] for row in await connection.fetch(NEAREST, question, few)]


async def indexes(admin: asyncpg.Connection) -> set[str]:
    rows = await admin.fetch(
        "select indexrelname from pg_stat_user_indexes where indexrelname like 'ticket_vectors_of_%'"
    )
    return {row["indexrelname"] for row in rows}


async def test_a_large_tenant_is_given_an_index_and_loses_it_when_it_is_small_again(
    acme: Client, globex: Client, pool: Database, admin: asyncpg.Connection, database: TestDatabase
) -> None:
    await fill(acme, database, "acme")
    await globex.import_(PastTicket(id="1", title="Alone"))

    assert await tend_vector_indexes(pool, few=FEW) == index_of("acme")
    assert await tend_vector_indexes(pool, few=FEW) is None
    assert await indexes(admin) == {index_of("acme")}

    await admin.execute("delete from history.ticket_search where ticket_id::int >= $1", FEW // 2 + 1)
    assert await tend_vector_indexes(pool, few=FEW) is None  # not at the first ticket less
    await acme.delete("0")
    assert await tend_vector_indexes(pool, few=FEW) == index_of("acme")
    assert await indexes(admin) == set()


async def test_the_nearest_of_a_large_tenant_come_from_its_own_index(
    acme: Client, globex: Client, pool: Database, admin: asyncpg.Connection, database: TestDatabase
) -> None:
    await fill(acme, database, "acme")
    await fill(globex, database, "globex")
    await tend_vector_indexes(pool, few=FEW)
    await tend_vector_indexes(pool, few=FEW)
    await admin.execute("vacuum analyze history.ticket_vectors")
    question = vector("globex-17")

    found = await nearest(pool, "globex", question, few=False)
    one_by_one = await nearest(pool, "globex", question, few=True)

    assert found[0] == one_by_one[0] == "17"
    assert len(set(found[:10]) & set(one_by_one[:10])) >= 8
    async with pool.transaction() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
    rows = await admin.fetch(
        "select indexrelname, idx_scan from pg_stat_user_indexes where indexrelname = any($1)",
        [index_of("acme"), index_of("globex")],
    )
    scanned = {row["indexrelname"]: row["idx_scan"] for row in rows}
    assert scanned == {index_of("acme"): 0, index_of("globex"): 1}


async def test_an_index_waits_for_writers_no_longer_than_they_may_wait_for_it(
    acme: Client, pool: Database, admin: asyncpg.Connection, database: TestDatabase
) -> None:
    await fill(acme, database, "acme")
    async with admin.transaction():
        await admin.execute("lock table history.ticket_vectors in row exclusive mode")
        assert await tend_vector_indexes(pool, few=FEW) is None
    assert await tend_vector_indexes(pool, few=FEW) == index_of("acme")
