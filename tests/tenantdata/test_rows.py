"""A service's rows of a client, on a real database under the service's own role."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import orjson
import pytest

from services.history.tenant_data import tenant_rows
from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from tenantdata.rows import Chunk, LeftOut, TenantRows
from tests.support.databases import TestDatabase

FILL = """
insert into history.tickets (
    tenant_id, source, ticket_id, title, description, resolution, has_resolution, status, category, tags,
    assets, url, created, resolved, record_time
)
select $1, 'desk', $1 || '-' || n, 'Printer', repeat('It is out of paper. ', 20), '', false, '', '', '{}',
    '{}', '', now() - make_interval(days => $3), now() - make_interval(days => $4),
    now() - make_interval(days => $5)
from generate_series(1, $2::integer) n
"""
INDEX = """
insert into history.ticket_search (tenant_id, source, ticket_id, version, lexemes, weights)
select tenant_id, source, ticket_id, 1, 'printer'::tsvector, '{1:1}/10' from history.tickets
where tenant_id = $1
"""
EMBED = """
insert into history.ticket_vectors (tenant_id, source, ticket_id, model, vector)
select tenant_id, source, ticket_id, 'model', array_fill(1::real, array[384])::public.halfvec
from history.tickets where tenant_id = $1
"""
Admin = asyncpg.Connection


@pytest.fixture
async def admin(database: TestDatabase) -> AsyncIterator["Admin[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def rows(database: TestDatabase) -> AsyncIterator[TenantRows]:
    pool = Database.lazy(database.url("history"), role="dossier_history")
    yield tenant_rows(pool, retention_days=None)
    await pool.close()


async def fill(
    admin: "Admin[asyncpg.Record]",
    tenant: str,
    count: int,
    *,
    created: int | None = None,
    resolved: int | None = None,
    recorded: int = 0,
) -> None:
    """Tickets, so many days old."""
    await admin.execute(FILL, tenant, count, created, resolved, recorded)
    await admin.execute(INDEX, tenant)
    await admin.execute(EMBED, tenant)


async def test_everything_of_the_client_goes_bite_by_bite_and_nothing_of_anothers(
    admin: "Admin[asyncpg.Record]", rows: TenantRows
) -> None:
    await fill(admin, "acme", 2500)
    await fill(admin, "globex", 3)
    before = await rows.count("globex")

    erased = await rows.erase("acme")

    assert (erased.removed["tickets"], erased.removed["ticket_search"]) == (2500, 2500)
    assert erased.left.keys() >= {"lexeme_counts", "ticket_search", "ticket_vectors", "tickets"}
    assert set(erased.left.values()) == {0}
    assert (await rows.erase("acme")).removed == {}
    assert await rows.count("globex") == before
    assert {table: count for table, count in before.items() if count} == {
        "lexeme_counts": 2,
        "ticket_search": 3,
        "ticket_vectors": 3,
        "tickets": 3,
    }


async def test_a_new_table_is_covered_by_being_there(
    admin: "Admin[asyncpg.Record]", rows: TenantRows
) -> None:
    """Also one that refers to another, whose rows would not go before its own."""
    await fill(admin, "acme", 2)
    await admin.execute(
        """
        create table history."a Note" (
            tenant_id text, source text, ticket_id text, "the text" text, primary key (tenant_id, ticket_id),
            foreign key (tenant_id, source, ticket_id) references history.tickets
        );
        alter table history."a Note" enable row level security;
        create policy mine on history."a Note" to dossier_history
            using (tenant_id = current_setting('dossier.tenant', true));
        grant select, delete on history."a Note" to dossier_history;
        insert into history."a Note" values ('acme', 'desk', 'acme-1', 'Mind the toner.');
        """
    )

    assert (await rows.count("acme"))["a Note"] == 1
    (note,) = [part for part in [each async for each in rows.export("acme")] if "Note" in str(part)]
    assert isinstance(note, Chunk)
    assert orjson.loads(note.lines)["the text"] == "Mind the toner."
    erased = await rows.erase("acme")
    assert erased.removed["a Note"] == 1
    assert not any(erased.left.values())


async def test_an_export_is_whole_and_comes_in_pieces(
    admin: "Admin[asyncpg.Record]", rows: TenantRows
) -> None:
    await fill(admin, "acme", 2000)
    await fill(admin, "globex", 1)

    parts = [part async for part in rows.export("acme")]

    pieces = [part for part in parts if isinstance(part, Chunk)]
    assert len(pieces) > 1
    assert {piece.table for piece in pieces} == {"audit_outbox", "ticket_ratings", "tickets"}
    assert [piece for piece in pieces if piece.table != "tickets"] == [
        Chunk("audit_outbox", 1, 0, b""),
        Chunk("ticket_ratings", 1, 0, b""),
    ]
    pieces = [piece for piece in pieces if piece.table == "tickets"]
    place = 1
    for piece in pieces:
        assert (piece.first_row, piece.lines.count(b"\n")) == (place, piece.rows)
        place += piece.rows
    exported = [orjson.loads(line) for piece in pieces for line in piece.lines.splitlines()]
    assert sorted(each["ticket_id"] for each in exported) == sorted(f"acme-{n}" for n in range(1, 2001))
    left_out = {part.what for part in parts if isinstance(part, LeftOut)}
    assert left_out == {"ticket_search", "lexeme_counts", "ticket_vectors", "embedding_backlog"}


async def test_one_clients_exports_that_nobody_reads_are_in_nobodys_way_and_end(
    rows: TenantRows, admin: "Admin[asyncpg.Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenantdata.rows._STALLED_SECONDS", 1.0)
    for tenant in ("acme", "globex"):
        await fill(admin, tenant, 2_000)
    stalled = [rows.export("acme") for _ in range(3)]
    first, *waiting = (asyncio.ensure_future(anext(export)) for export in stalled)
    await first

    async with asyncio.timeout(10):
        assert [part async for part in rows.export("globex")]
        assert not any(each.done() for each in waiting)
        await asyncio.sleep(1.5)
        with pytest.raises(DependencyUnavailable):
            async for _ in stalled[0]:
                pass
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for export in stalled:
        await export.aclose()


async def test_a_client_without_anything_has_empty_files(rows: TenantRows) -> None:
    pieces = [part async for part in rows.export("acme") if isinstance(part, Chunk)]

    assert pieces == [Chunk(table, 1, 0, b"") for table in ("audit_outbox", "ticket_ratings", "tickets")]


@pytest.mark.parametrize(
    ("ages", "goes"),
    [
        ({"resolved": 101, "created": 300}, True),
        ({"resolved": 99, "created": 300}, False),
        ({"created": 101}, True),
        ({"created": 99, "recorded": 300}, False),
        ({"recorded": 101}, True),
        ({"recorded": 99}, False),
    ],
)
async def test_a_ticket_is_as_old_as_its_last_date_says(
    admin: "Admin[asyncpg.Record]", rows: TenantRows, ages: dict[str, int], goes: bool
) -> None:
    await fill(admin, "acme", 1, **ages)
    await fill(admin, "globex", 1, created=1000)

    expired = await rows.expire("acme", 100)

    left = 0 if goes else 1
    assert expired == (1 - left, False)
    counts = await rows.count("acme")
    assert {counts[table] for table in ("tickets", "ticket_search", "ticket_vectors")} == {left}
    assert (await rows.count("globex"))["tickets"] == 1


async def test_much_that_is_old_goes_in_several_calls(
    admin: "Admin[asyncpg.Record]", rows: TenantRows
) -> None:
    await fill(admin, "acme", 1500, created=200)

    assert await rows.expire("acme", 100) == (1000, True)
    assert await rows.expire("acme", 100) == (500, False)
    assert await rows.expire("acme", 0) == (0, False)
