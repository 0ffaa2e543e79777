"""Migrating a database: what is there afterwards, twice, at once, and when a file is wrong."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from cli.migrate.errors import MigrationError
from cli.migrate.run import Applied, migrate, roll_back, statuses
from cli.migrate.services import MigratedService
from cli.migrate.urls import with_user
from tests.support.databases import TestDatabase

CREATE_PETS = """-- migrate:up
CREATE TABLE history.pets (id int PRIMARY KEY);
GRANT SELECT ON history.pets TO dossier_history;
-- migrate:down
DROP TABLE history.pets;
"""
ADD_NAME = """-- migrate:up
ALTER TABLE history.pets ADD COLUMN name text;
-- migrate:down
ALTER TABLE history.pets DROP COLUMN name;
"""
WRONG = """-- migrate:up
CREATE TABLE history.toys (id int);
SELECT no_such_function();
-- migrate:down
DROP TABLE history.toys;
"""


@pytest.fixture
def services(tmp_path: Path) -> tuple[MigratedService, ...]:
    folder = tmp_path / "history"
    folder.mkdir()
    (folder / "0001_create_pets.sql").write_text(CREATE_PETS)
    (folder / "0002_add_name.sql").write_text(ADD_NAME)
    return (
        MigratedService("history", folder),
        MigratedService("orchestrator", tmp_path / "absent"),
    )


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_an_absent_database_is_created_and_migrated(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    applied = await migrate(empty_database_url, services=services)

    assert applied == (Applied("history", "0001_create_pets.sql"), Applied("history", "0002_add_name.sql"))
    as_service = with_user(empty_database_url, "dossier_history")
    assert await value(as_service, "SELECT count(*) FROM history.pets") == 0


async def test_a_second_run_finds_nothing_to_do(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    await migrate(empty_database_url, services=services)

    assert await migrate(empty_database_url, services=services) == ()


async def test_runs_at_the_same_time_apply_each_file_once(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    await migrate(empty_database_url, services=())  # the engine's own lock would keep the runs apart
    runs = await asyncio.gather(*(migrate(empty_database_url, services=services) for _ in range(3)))

    assert sorted(file.file for run in runs for file in run) == [
        "0001_create_pets.sql",
        "0002_add_name.sql",
    ]


async def test_a_wrong_file_is_named_and_leaves_nothing_behind(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    wrong = services[0].migrations / "0003_create_toys.sql"
    wrong.write_text(WRONG)

    with pytest.raises(MigrationError, match="no_such_function") as raised:
        await migrate(empty_database_url, services=services)

    assert str(wrong) in str(raised.value)
    assert await value(empty_database_url, "SELECT to_regclass('history.toys')") is None
    assert await value(empty_database_url, "SELECT to_regclass('history.pets')::text") == "history.pets"


async def test_status_of_an_absent_database_is_all_pending_and_creates_nothing(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    history, orchestrator = await statuses(empty_database_url, services=services)

    assert history.pending == ("0001_create_pets.sql", "0002_add_name.sql")
    assert orchestrator.pending == ()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await value(empty_database_url, "SELECT 1")


async def test_rolling_back_undoes_the_last_files_first(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    await migrate(empty_database_url, services=services)

    undone = await roll_back(empty_database_url, service="history", steps=2, services=services)

    assert [file.file for file in undone] == ["0002_add_name.sql", "0001_create_pets.sql"]
    history, _ = await statuses(empty_database_url, services=services)
    assert history.pending == ("0001_create_pets.sql", "0002_add_name.sql")


async def test_rolling_back_more_than_was_applied_undoes_nothing(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    await migrate(empty_database_url, services=services)

    with pytest.raises(MigrationError, match="has 2 applied migrations, not 3"):
        await roll_back(empty_database_url, service="history", steps=3, services=services)

    history, _ = await statuses(empty_database_url, services=services)
    assert history.pending == ()


async def test_service_roles_can_log_in_and_bypass_nothing(database: TestDatabase) -> None:
    tame = await value(
        database.admin_url,
        "SELECT count(*) FROM pg_roles WHERE rolname = ANY('{dossier_history,dossier_knowledge,"
        "dossier_network,dossier_synthesis,dossier_orchestrator,dossier_tenants}')"
        " AND rolcanlogin AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole AND NOT rolcreatedb",
    )

    assert tame == 6


async def test_a_role_password_with_quotes_is_set_and_never_echoed(
    empty_database_url: str, services: tuple[MigratedService, ...]
) -> None:
    await migrate(empty_database_url, services=services, role_password='it\'s \\ "quoted"')
    stored = "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'dossier_history'"

    assert await value(empty_database_url, stored) is True


async def test_the_orchestrator_can_use_the_workflow_engines_tables(database: TestDatabase) -> None:
    orchestrator = database.url("orchestrator")

    assert await value(orchestrator, "SELECT count(*) FROM dbos.workflow_status") == 0


async def test_other_services_cannot_see_the_workflow_engines_tables(database: TestDatabase) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value(database.url("history"), "SELECT count(*) FROM dbos.workflow_status")


async def test_an_unreachable_server_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(MigrationError) as raised:
        await migrate(f"postgresql://postgres@/dossier?host={tmp_path}")

    assert "DOSSIER_DATABASE_URL" in raised.value.hint
