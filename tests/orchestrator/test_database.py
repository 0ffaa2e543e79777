"""What the database itself keeps apart."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from cli.migrate.run import migrate, roll_back
from tests.orchestrator.client import Client
from tests.support.databases import TestDatabase

NOTHING = ", ".join(["'{}'"] * 11)
ACCEPT = f"select orchestrator.accept('q', {NOTHING}, '')"


@pytest.fixture
async def connection(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """As the service's own role."""
    connection = await asyncpg.connect(database.url("orchestrator"))
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", ["enhancements", "steps", "feedback"])
async def test_rows_are_seen_by_their_tenant_alone(
    acme: Client, connection: asyncpg.Connection, table: str
) -> None:
    ended = await acme.ended(await acme.submit_one("1"))
    await acme.feedback(enhancement_id=ended.id, helpful=True)

    async def seen_by(tenant: str) -> int:
        async with connection.transaction():
            await connection.execute("select set_config('dossier.tenant', $1, true)", tenant)
            seen: int = await connection.fetchval(f"select count(*) from orchestrator.{table}")  # noqa: S608
        return seen

    assert await seen_by("acme") > 0
    assert await seen_by("globex") == 0
    assert await connection.fetchval(f"select count(*) from orchestrator.{table}") == 0  # noqa: S608


async def test_the_service_writes_enhancements_through_acceptance_only(
    connection: asyncpg.Connection,
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("insert into orchestrator.enhancements (id) values ('x')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("set role dossier_orchestrator_acceptance")


async def test_nobody_else_may_accept(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.url("history"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(ACCEPT)
    await connection.close()


async def test_the_engine_keeps_nothing_of_a_ticket(acme: Client, connection: asyncpg.Connection) -> None:
    await acme.ended(await acme.submit_one("1"))

    for table in ("workflow_status", "workflow_input", "operation_outputs"):
        rows = await connection.fetch(f"select t::text as row from dbos.{table} t")  # noqa: S608
        assert rows
        assert not any("VPN" in row["row"] for row in rows)


async def test_migrations_go_back_and_forth(database: TestDatabase) -> None:
    undone = await roll_back(database.admin_url, service="orchestrator", steps=2)
    done = await migrate(database.admin_url)

    assert [each.file for each in undone] == [each.file for each in reversed(done)]
