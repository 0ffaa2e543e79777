"""Searching must be served by the index, under row-level security, as the service's role."""

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client
from tests.support.databases import TestDatabase

ROWS = 3_000
WORDS_INDEX = "ticket_search_by_word"


async def scans(connection: asyncpg.Connection, index: str) -> int:
    count: int = await connection.fetchval(
        "select idx_scan from pg_stat_user_indexes where indexrelname = $1", index
    )
    return count


async def test_a_search_uses_the_index_on_words(acme: Client, database: TestDatabase) -> None:
    await acme.import_in_chunks(
        [
            PastTicket(id=str(number), title=f"Ticket about matter{number}", description="Common words " * 20)
            for number in range(ROWS)
        ]
    )
    admin = await asyncpg.connect(database.admin_url)
    role = await asyncpg.connect(database.url("history"))
    try:
        await admin.execute("vacuum analyze")
        before = await scans(admin, WORDS_INDEX)

        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            found = await role.fetch(
                "select ticket_id"
                " from history.find_candidates(array['matter1234'], '{1:1}/1048576', 1::int2, 9, false)"
            )
        await role.execute("select pg_stat_force_next_flush()")
        await role.execute("select 1")

        assert [row["ticket_id"] for row in found] == ["1234"]
        assert await scans(admin, WORDS_INDEX) == before + 1
    finally:
        await role.close()
        await admin.close()


async def test_without_the_function_the_index_could_not_serve(acme: Client, database: TestDatabase) -> None:
    """The reason for the function. Once this fails, PostgreSQL has learnt it and the function can go."""
    await acme.import_in_chunks([PastTicket(id=str(at), title=f"Matter{at}") for at in range(500)])
    admin = await asyncpg.connect(database.admin_url)
    role = await asyncpg.connect(database.url("history"))
    try:
        await admin.execute("vacuum analyze history.ticket_search")
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            await role.execute("set local enable_seqscan = off")
            plan = await role.fetch(
                "explain select ticket_id from history.ticket_search"
                " where history.words_of(tenant_id, lexemes) && array[17::bigint]"
            )
        assert WORDS_INDEX not in str(plan)
    finally:
        await role.close()
        await admin.close()


async def test_a_page_of_the_list_is_read_in_the_indexs_order(acme: Client, database: TestDatabase) -> None:
    await acme.import_in_chunks(
        [
            PastTicket(id=str(at), title="Row", create_time=Timestamp(seconds=1_000_000 + at))
            for at in range(ROWS)
        ]
    )
    admin = await asyncpg.connect(database.admin_url)
    role = await asyncpg.connect(database.url("history"))
    try:
        await admin.execute("vacuum analyze history.tickets")
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            plan = await role.fetch(
                "explain select ticket_id from history.tickets"
                " where (coalesce(created, '-infinity'::timestamptz), source, ticket_id)"
                " < (to_timestamp(1001000), 'import', '1000')"
                " order by coalesce(created, '-infinity'::timestamptz) desc, source desc, ticket_id desc"
                " limit 10"
            )
        assert "Index Scan Backward using tickets_by_creation" in str(plan)
        assert "Sort" not in str(plan)
    finally:
        await role.close()
        await admin.close()


async def test_everyday_words_are_looked_up_in_the_index_all_at_once(
    acme: Client, database: TestDatabase
) -> None:
    await acme.import_in_chunks(
        [
            PastTicket(
                id=str(at), title=f"Printer{at % 40} offline{at % 30}", description="Common words " * 20
            )
            for at in range(ROWS)
        ]
    )
    admin = await asyncpg.connect(database.admin_url)
    role = await asyncpg.connect(database.url("history"))
    try:
        await admin.execute("vacuum analyze")
        before = await scans(admin, WORDS_INDEX)
        async with role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            found = await role.fetch(
                "select ticket_id from history.find_candidates("
                "array['printer7', 'offline7'], '{1:1}/1048576', 1::int2, 100, true)"
            )
        await role.execute("select pg_stat_force_next_flush()")
        await role.execute("select 1")

        assert {int(row["ticket_id"]) for row in found} == set(range(7, ROWS, 120))
        assert await scans(admin, WORDS_INDEX) == before + 1
    finally:
        await role.close()
        await admin.close()
