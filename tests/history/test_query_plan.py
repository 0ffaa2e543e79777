"""Searching must be served by the index, under row-level security, as the service's role."""

from itertools import pairwise

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1.past_ticket_pb2 import PastTicket
from embedding.contract import DIMENSIONS
from embedding.questions import Meaning
from retrieval.questions import plan, read
from services.history.store import Searching
from tests.history.client import Client
from tests.support.databases import TestDatabase
from tests.support.plans import asked, scans

ROWS = 3_000
WORDS_INDEX = "ticket_search_by_word"


async def test_a_search_uses_the_index_on_words(acme: Client, database: TestDatabase) -> None:
    await acme.import_in_chunks(
        [
            PastTicket(id=str(number), title=f"Ticket about matter{number}", description="Common words " * 20)
            for number in range(ROWS)
        ]
    )
    found, used = await asked(
        database,
        "history",
        "select ticket_id"
        " from history.find_candidates(array['matter1234'], '{1:1}/1048576', 1::int2, 9, false)",
        index=WORDS_INDEX,
    )
    assert [row["ticket_id"] for row in found] == ["1234"]
    assert used == 1


async def test_few_tickets_are_found_by_the_index_too(acme: Client, database: TestDatabase) -> None:
    """To read them all costs more than PostgreSQL believes."""
    await acme.import_in_chunks(
        [PastTicket(id=str(at), title=f"Matter{at}", description="Common words " * 20) for at in range(300)]
    )
    found, used = await asked(
        database,
        "history",
        "select from history.find_candidates("
        "array['common', 'matter7'], '{1:1}/1048576', 1::int2, 100, false)",
        index=WORDS_INDEX,
    )
    assert len(found) == 100
    assert used == 1


async def test_what_waits_for_its_meaning_is_looked_up_one_by_one(
    acme: Client, database: TestDatabase
) -> None:
    """A month's tickets may wait, and as many have waited: the index of their ages holds them all."""
    await acme.import_in_chunks([PastTicket(id=str(at), title=f"Printer {at}") for at in range(ROWS)])
    admin = await asyncpg.connect(database.admin_url)
    pool = await asyncpg.create_pool(database.url("history"), min_size=1, max_size=1)
    try:
        await admin.execute(
            "insert into history.embedding_backlog (tenant_id, source, ticket_id)"
            " select 'globex', 'import', number from generate_series(1, 100000) as number"
        )
        await admin.execute("delete from history.embedding_backlog")
        # Statistics are of the time in between.
        await admin.execute("analyze")
        await admin.execute(
            "insert into history.embedding_backlog (tenant_id, source, ticket_id)"
            " select tenant_id, source, ticket_id from history.tickets"
        )
        by_age, by_key = "embedding_backlog_by_age", "embedding_backlog_pkey"
        ages, keys = await scans(admin, by_age), await scans(admin, by_key)
        meaning = Meaning(model="m", vector=[1.0] * DIMENSIONS)
        async with pool.acquire() as role, role.transaction():
            await role.execute("select set_config('dossier.tenant', 'acme', true)")
            index = Searching(role)
            question = read("printer offline", "")
            planned = plan(question, await index.frequencies(question.lexemes))
            found = await index.candidates_by_meaning(planned, meaning, limit=100)
            pairs = [(one.key, other.key) for one, other in pairwise(found)]
            alike = await index.likenesses(pairs, model="m")
        # Closed, it has told its counts.
        await pool.close()

        assert (len(found), len(alike)) == (100, 99)
        assert await scans(admin, by_age) == ages
        assert await scans(admin, by_key) >= keys + 200
    finally:
        await pool.close()
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
    found, used = await asked(
        database,
        "history",
        "select ticket_id from history.find_candidates("
        "array['printer7', 'offline7'], '{1:1}/1048576', 1::int2, 100, true)",
        index=WORDS_INDEX,
    )
    assert {int(row["ticket_id"]) for row in found} == set(range(7, ROWS, 120))
    assert used == 1
