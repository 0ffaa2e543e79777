"""The database itself, and a login role and schema for each service."""

from contextlib import suppress

import asyncpg

from cli.migrate.errors import MigrationError
from cli.migrate.services import MigratedService
from cli.migrate.urls import database_of, with_database

PASSWORD_VARIABLE = "DOSSIER_ROLE_PASSWORD"  # noqa: S105 - a name, not a password
_MAINTENANCE_DATABASE = "postgres"


async def connect(url: str) -> asyncpg.Connection:
    """As the admin, to an existing database. Absent: asyncpg.InvalidCatalogNameError."""
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as failure:
        raise MigrationError(
            f"PostgreSQL does not answer: {str(failure) or type(failure).__name__}",
            hint="Start it, or check the address in DOSSIER_DATABASE_URL.",
        ) from failure
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as failure:
        raise MigrationError(
            f"PostgreSQL refused the login: {failure}",
            hint="Check the user and password in DOSSIER_DATABASE_URL.",
        ) from failure


async def ensure_database(url: str) -> None:
    try:
        connection = await connect(url)
    except asyncpg.InvalidCatalogNameError:
        connection = await connect(with_database(url, _MAINTENANCE_DATABASE))
        try:
            await connection.execute(f"CREATE DATABASE {_quoted(database_of(url))}")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            pass  # somebody was faster
        except asyncpg.InsufficientPrivilegeError as failure:
            raise MigrationError(
                f"The database {database_of(url)} does not exist and this role may not create it.",
                hint=f"As an administrator: CREATE DATABASE {_quoted(database_of(url))} OWNER …;",
            ) from failure
        finally:
            await connection.close()
    else:
        await connection.close()


async def ensure_roles(
    connection: asyncpg.Connection, services: tuple[MigratedService, ...], *, password: str | None
) -> None:
    """Idempotent. Without a password a new role cannot log in by password, and an old one keeps its own."""
    try:
        for service in services:
            await _ensure_role(connection, service.role, password=password)
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service.schema}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {service.schema} TO {service.role}")
    except asyncpg.InsufficientPrivilegeError as failure:
        raise MigrationError(
            f"The migrating role lacks a right: {failure}",
            hint="It needs CREATEROLE, and CREATE on the database (its owner has it).",
        ) from failure


async def _ensure_role(connection: asyncpg.Connection, role: str, *, password: str | None) -> None:
    rights = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION"
    known = await connection.fetchrow(
        "SELECT rolcanlogin AND NOT (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole) AS tame"
        " FROM pg_roles WHERE rolname = $1",
        role,
    )
    if known is None:
        # Roles belong to the whole server: another database's migration may be faster.
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await connection.execute(f"CREATE ROLE {role} {rights}")
    elif not known["tame"]:
        await connection.execute(f"ALTER ROLE {role} {rights}")
    if password is not None:
        # Utility statements take no parameters; the server quotes the literal itself.
        statement = await connection.fetchval(
            "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", role, password
        )
        await connection.execute(statement)
    superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if not superuser:
        await connection.execute(f"GRANT {role} TO CURRENT_USER")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
