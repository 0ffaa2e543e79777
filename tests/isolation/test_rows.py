"""Every tenant table, full of aster's rows, as the services' roles find it in a transaction of borealis."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from tests.isolation.world import World, tenant_tables

Connection = psycopg.Connection[Any]
REFUSED = (errors.InsufficientPrivilege,)
"""By the policy, or since the role lacks the right altogether."""


@contextmanager
def as_service(world: World, table: str) -> Iterator[Connection]:
    """The service whose table it is, in a transaction that is undone."""
    with psycopg.connect(world.service_url(table.partition(".")[0]), prepare_threshold=None) as connection:
        yield connection
        connection.rollback()


@contextmanager
def for_tenant(connection: Connection, tenant: str | None) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        if tenant is not None:
            connection.execute("select set_config('dossier.tenant', %s, true)", (tenant,))
        yield


def named(table: str, statement: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(*table.split(".")))


def count(connection: Connection, table: str, tenant: str | None = None) -> int:
    """The rows of this tenant, or all that are to be seen."""
    counted = named(table, "select count(*) from {} where %s::text is null or tenant_id = %s")
    (row,) = connection.execute(counted, (tenant, tenant)).fetchall()
    return int(row[0])


def affected(connection: Connection, statement: sql.Composed, *values: str) -> int:
    """How many rows; none where the role lacks the right."""
    try:
        with connection.transaction():
            return connection.execute(statement, values).rowcount
    except REFUSED:
        return 0


@pytest.fixture
def admin(world: World) -> Iterator[Connection]:
    with psycopg.connect(world.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def tables(admin: Connection) -> Sequence[str]:
    return tenant_tables(admin)


def test_every_table_holds_rows_of_both(world: World, admin: Connection, tables: Sequence[str]) -> None:
    """Else there would be nothing to see, change or take: `filling.py` has to make some."""
    for client in (world.aster, world.borealis):
        assert [table for table in tables if count(admin, table, client.has.tenant) == 0] == []


def test_only_the_tenants_own_rows_are_seen(world: World, admin: Connection, tables: Sequence[str]) -> None:
    aster, borealis = world.aster.has.tenant, world.borealis.has.tenant
    for table in tables:
        with as_service(world, table) as connection:
            for tenant in (None, "", "nobody", aster.upper(), f"{aster} ", "%"):
                with for_tenant(connection, tenant):
                    assert count(connection, table) == 0, (table, tenant)
            with for_tenant(connection, borealis):
                assert count(connection, table, aster) == 0, table
                assert count(connection, table) == count(admin, table, borealis), table


@pytest.mark.parametrize("tenant", ["borealis", None])
def test_nothing_of_anothers_is_changed_or_removed(
    world: World, tables: Sequence[str], tenant: str | None
) -> None:
    aster = world.aster.has.tenant
    with world.asters_stay_as_they_are():
        for table in tables:
            with (
                as_service(world, table) as connection,
                for_tenant(connection, tenant and world.borealis.has.tenant),
            ):
                for statement in (
                    "update {} set tenant_id = tenant_id where tenant_id = %s",
                    "delete from {} where tenant_id = %s",
                ):
                    assert affected(connection, named(table, statement), aster) == 0, (table, statement)


def test_nothing_is_slipped_in_among_anothers(world: World, tables: Sequence[str], admin: Connection) -> None:
    aster = world.aster.has.tenant
    for table in tables:
        columns, row = a_row(admin, table, aster)
        copy = sql.SQL(
            "insert into {table} ({columns}) select {columns} from json_populate_record(null::{table}, %s)"
        )
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        insert = copy.format(table=sql.Identifier(*table.split(".")), columns=names)
        with as_service(world, table) as connection, for_tenant(connection, world.borealis.has.tenant):
            with pytest.raises(REFUSED), connection.transaction():
                connection.execute(insert, (row,))
            # Nor by giving away one's own.
            give = named(table, "update {} set tenant_id = %s")
            with pytest.raises(REFUSED), connection.transaction():
                connection.execute(give, (aster,))


def a_row(admin: Connection, table: str, tenant: str) -> tuple[Sequence[str], str]:
    """One of the tenant's rows as JSON, and the columns that are written."""
    schema, _, name = table.partition(".")
    columns = admin.execute(
        "select column_name from information_schema.columns where (table_schema, table_name) = (%s, %s)"
        " and is_generated = 'NEVER' and identity_generation is distinct from 'ALWAYS'",
        (schema, name),
    ).fetchall()
    (row,) = admin.execute(
        named(table, "select row_to_json(t)::text from {} t where tenant_id = %s limit 1"), (tenant,)
    ).fetchall()
    return [column for (column,) in columns], str(row[0])


def test_the_planners_statistics_of_tenant_tables_cannot_be_read(
    world: World, admin: Connection, tables: Sequence[str]
) -> None:
    """They hold values of columns, whoever's they are."""
    admin.execute("analyze")
    for schema in sorted({table.partition(".")[0] for table in tables}):
        with as_service(world, f"{schema}.any") as connection:
            shown = connection.execute(
                "select schemaname || '.' || tablename, 'pg_stats' from pg_stats"
                " union select schemaname || '.' || tablename, 'pg_stats_ext' from pg_stats_ext"
            ).fetchall()
            assert not {table for table, _ in shown} & set(tables)
            for catalogue in ("pg_statistic", "pg_statistic_ext_data"):
                with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(sql.SQL("select from {}").format(sql.Identifier(catalogue)))
