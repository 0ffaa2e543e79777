"""Tenant transactions on a real PostgreSQL, as a role that row-level security binds."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from services.runtime.database import Database
from services.runtime.errors import DependencyUnavailable
from tests.runtime.harness import eventually
from tests.support.databases import DatabaseServer

ROLE = "kernel_test"
SCHEMA = f"""
create table note (tenant_id text not null, body text not null);
alter table note enable row level security;
alter table note force row level security;
create policy own on note to {ROLE}
    using (tenant_id = current_setting('dossier.tenant', true))
    with check (tenant_id = current_setting('dossier.tenant', true));
grant select, insert on note to {ROLE};
"""


@pytest.fixture
async def url(database_server: DatabaseServer, empty_database_url: str) -> str:
    await make_database(database_server, empty_database_url)
    return empty_database_url


async def make_database(server: DatabaseServer, url: str) -> None:
    name = url.partition("?")[0].rpartition("/")[2]
    await execute(server.url(), f'create database "{name}"')
    await execute(
        url,
        f"do $$ begin create role {ROLE} login; exception when duplicate_object then null; end $$;{SCHEMA}",
    )


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(params=[100, 0], ids=["prepared statements", "no statement cache"])
async def database(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """One connection only, so that every transaction follows another on it."""
    database = Database.lazy(url, role=ROLE, pool_max=1, statement_cache=request.param, acquire_seconds=0.5)
    yield database
    await database.close()


async def write(database: Database, tenant: str, body: str) -> None:
    async with database.tenant(tenant) as connection:
        await connection.execute("insert into note values ($1, $2)", tenant, body)


async def bodies(database: Database, tenant: str | None) -> list[str]:
    transaction = database.transaction() if tenant is None else database.tenant(tenant)
    async with transaction as connection:
        return [row["body"] for row in await connection.fetch("select body from note order by body")]


async def test_a_tenant_sees_its_own_rows_and_nobody_elses(database: Database) -> None:
    await write(database, "acme", "a")
    await write(database, "globex", "g")
    assert await bodies(database, "acme") == ["a"]
    assert await bodies(database, "globex") == ["g"]


async def test_a_tenant_cannot_write_for_another(database: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.tenant("acme") as connection:
            await connection.execute("insert into note values ('globex', 'forged')")
    assert await bodies(database, "globex") == []


async def test_the_tenant_does_not_follow_the_connection_to_its_next_user(database: Database) -> None:
    await write(database, "acme", "a")
    assert await bodies(database, None) == []


async def test_a_tenant_set_for_the_session_by_mistake_does_not_follow_either(database: Database) -> None:
    await write(database, "acme", "a")
    async with database.transaction() as connection:
        await connection.execute("set dossier.tenant = 'acme'")
    assert await bodies(database, None) == []


@pytest.mark.parametrize(
    "tenant", ["o'brien", "a'; drop table note; --", r"a\'; drop table note; --", r"back\slash\n", "ÄÖ", "$1"]
)
@pytest.mark.parametrize("strings", ["on", "off"])
async def test_a_tenants_name_is_data(database: Database, tenant: str, strings: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(f"set standard_conforming_strings = {strings}")
    await write(database, tenant, "kept")
    assert await bodies(database, tenant) == ["kept"]


async def test_a_tenants_name_with_a_nul_reaches_no_database(database: Database) -> None:
    with pytest.raises(ValueError, match="NUL"):
        await bodies(database, "acme\0globex")


async def test_work_is_done_as_the_services_role(database: Database) -> None:
    async with database.transaction() as connection:
        assert await connection.fetchval("select current_user") == ROLE


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def fail_half_way() -> None:
        async with database.tenant("acme") as connection:
            await connection.execute("insert into note values ('acme', 'half')")
            raise LookupError

    with pytest.raises(LookupError):
        await fail_half_way()
    assert await bodies(database, "acme") == []


async def test_a_connection_lost_in_mid_query_is_unavailable_and_replaced(
    database: Database, url: str
) -> None:
    pids: list[int] = []

    async def sleep() -> None:
        async with database.tenant("acme") as connection:
            pids.append(await connection.fetchval("select pg_backend_pid()"))
            await connection.execute("select pg_sleep(60)")

    sleeping = asyncio.create_task(sleep())
    await eventually(lambda: bool(pids))
    await execute(url, f"select pg_terminate_backend({pids[0]}, 5000)")
    with pytest.raises(DependencyUnavailable) as lost:
        await sleeping
    assert lost.value.metadata == {"dependency": "postgresql"}
    await database.check()


async def test_a_connection_lost_between_two_queries_is_unavailable_and_replaced(
    database: Database, url: str
) -> None:
    async def pause_between() -> None:
        async with database.tenant("acme") as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
            await execute(url, f"select pg_terminate_backend({pid}, 5000)")
            await connection.execute("select 1")

    with pytest.raises(DependencyUnavailable):
        await pause_between()
    await database.check()


async def test_a_connection_whose_end_is_announced_and_not_yet_there_is_unavailable_and_replaced(
    url: str, server_home: Path
) -> None:
    sockets = server_home / "announcing"
    sockets.mkdir(exist_ok=True)
    server, database_of = parse_qs(urlsplit(url).query)["host"][0], urlsplit(url).path
    said = asyncio.Event()
    async with passing_on_all_but_the_end(f"{sockets}/.s.PGSQL.5432", f"{server}/.s.PGSQL.5432", said):
        database = Database.lazy(f"postgresql://postgres@{database_of}?host={sockets}", role=ROLE, pool_max=1)
        async with database.transaction() as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
        await execute(url, f"select pg_terminate_backend({pid}, 5000)")
        await said.wait()

        with pytest.raises(DependencyUnavailable):
            await database.check()

        await database.check()
        await database.close()


@asynccontextmanager
async def passing_on_all_but_the_end(path: str, server: str, said: asyncio.Event) -> AsyncIterator[None]:
    """Stand before the server; `said` is set once it has ended a connection, which the client is not told."""
    closers: list[asyncio.StreamWriter] = []

    async def accept(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(server)
        closers.extend((to_client, to_server))

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()

        sending = asyncio.create_task(pass_on(from_client, to_server))
        await pass_on(from_server, to_client)
        said.set()
        await sending

    async with await asyncio.start_unix_server(accept, path):
        yield
        for writer in closers:
            writer.close()


async def test_a_query_given_up_leaves_the_connection_usable(database: Database) -> None:
    began = asyncio.Event()

    async def slow() -> None:
        async with database.transaction() as connection:
            began.set()
            await connection.execute("select pg_sleep(60)")

    querying = asyncio.create_task(slow())
    await began.wait()
    querying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await querying
    await database.check()


async def test_work_given_up_on_a_stalled_connection_ends_without_it(database: Database) -> None:
    pids: list[int] = []

    async def stall() -> None:
        async with database.transaction() as connection:
            pids.append(await connection.fetchval("select pg_backend_pid()"))
            os.kill(pids[0], signal.SIGSTOP)
            await connection.execute("select 1")

    stalled = asyncio.create_task(stall())
    try:
        await eventually(lambda: bool(pids))
        stalled.cancel()
        await eventually(stalled.done, within_seconds=15)
        await database.check()
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert stalled.cancelled()


async def test_waiting_for_a_connection_has_an_end(database: Database) -> None:
    async with database.transaction():
        with pytest.raises(DependencyUnavailable, match=r"gave no connection within 0\.5 s"):
            await database.check()


async def test_a_mistake_of_ours_is_not_taken_for_an_outage(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.transaction() as connection:
            await connection.execute("select * from nothing")
    with pytest.raises(asyncpg.InterfaceError):
        async with database.transaction() as connection:
            await connection.fetch("select $1::int", 1, 2)


async def test_a_database_that_appears_later_is_found(
    database_server: DatabaseServer, empty_database_url: str
) -> None:
    database = Database.lazy(empty_database_url, role=ROLE)
    with pytest.raises(DependencyUnavailable, match="postgresql refuses connections"):
        await database.check()
    await make_database(database_server, empty_database_url)
    await database.check()
    await database.close()


async def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_shown() -> None:
    database = Database.lazy("postgresql://dossier:hunter2@127.0.0.1:1/dossier", role=ROLE)
    with pytest.raises(DependencyUnavailable) as refused:
        await database.check()
    await database.close()
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"


async def test_a_pool_that_nobody_used_is_closed_in_silence(database_server: DatabaseServer) -> None:
    await Database.lazy(database_server.url(), role=ROLE).close()


@pytest.mark.parametrize("planned_anew", [True, False])
async def test_a_plan_made_for_one_tenant_is_kept_for_others_unless_told_otherwise(
    url: str, planned_anew: bool
) -> None:
    database = Database.lazy(url, role=ROLE, pool_max=1, planned_anew=planned_anew)
    async with database.tenant("acme") as connection:
        for _ in range(20):
            await connection.fetch("select 1 where $1 = current_setting('dossier.tenant')", "acme")
        kept = await connection.fetchval(
            "select generic_plans > 0 from pg_prepared_statements where statement like 'select 1 where %'"
        )
    await database.close()
    assert kept is not planned_anew


async def test_a_connection_of_one_whom_no_policy_confines_is_not_used(url: str) -> None:
    """As behind a pooler that drops the role: all tenants would be read, and nobody would notice."""
    database = Database.lazy(url, role=str(urlsplit(url).username))
    with pytest.raises(DependencyUnavailable, match="RoleNotTaken"):
        await database.check()
    await database.close()
