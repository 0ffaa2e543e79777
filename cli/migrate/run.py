"""Brings a database up to date, or back, one process at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from cli.migrate import dbmate
from cli.migrate.engine import migrate_engine
from cli.migrate.errors import MigrationError
from cli.migrate.roles import connect, ensure_database, ensure_roles
from cli.migrate.services import MigratedService, migrated_services

_LOCK = 0x0D05_51E2
_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Applied:
    service: str
    file: str


def _silent(_: str) -> None:
    return


async def migrate(
    url: str,
    *,
    services: tuple[MigratedService, ...] | None = None,
    role_password: str | None = None,
    progress: Callable[[str], None] = _silent,
) -> tuple[Applied, ...]:
    """Do everything `dossier migrate` does, on the database that `url` names, as the admin that it names.

    Safe to run at the same time from several places: one works, the others wait and find nothing to do.
    """
    chosen = services if services is not None else migrated_services()
    progress("database")
    await ensure_database(url)
    applied: list[Applied] = []
    async with _locked(url) as connection:
        progress("roles and schemas")
        await ensure_roles(connection, chosen, password=role_password)
        # Before the services': the orchestrator's own migrations call the engine's functions.
        progress("workflow engine")
        await migrate_engine(url)
        for service in chosen:
            if service.files:
                progress(service.name)
                applied += [Applied(service.name, file) for file in await dbmate.apply(service, url)]
    return tuple(applied)


async def roll_back(
    url: str, *, service: str, steps: int, services: tuple[MigratedService, ...] | None = None
) -> tuple[Applied, ...]:
    """Undo the last `steps` migrations of one service: each service's history is its own."""
    chosen = _named(service, services)
    async with _locked(url):
        applied = (await dbmate.status(chosen, url)).applied
        if steps > len(applied):
            raise MigrationError(
                f"{service} has {len(applied)} applied migrations, not {steps}.",
                hint="`dossier migrate --status` lists them.",
            )
        return tuple([Applied(service, await dbmate.roll_back(chosen, url)) for _ in range(steps)])


async def statuses(
    url: str, *, services: tuple[MigratedService, ...] | None = None
) -> tuple[dbmate.ServiceStatus, ...]:
    """Say what is applied and what is pending; change nothing, not even an absent database."""
    chosen = services if services is not None else migrated_services()
    try:
        connection = await connect(url)
    except asyncpg.InvalidCatalogNameError:
        return tuple(dbmate.ServiceStatus(service.name, (), service.files) for service in chosen)
    await connection.close()
    return tuple([await dbmate.status(service, url) for service in chosen])


def _named(name: str, services: tuple[MigratedService, ...] | None) -> MigratedService:
    known = {service.name: service for service in services or migrated_services()}
    if name not in known:
        raise MigrationError(f"No service is called {name!r}.", hint=f"One of: {', '.join(known)}.")
    return known[name]


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(url)
    try:
        # Polled, not awaited in the server: a waiting statement holds a snapshot, and the engine's
        # CREATE INDEX CONCURRENTLY waits for every older snapshot, so the two would wait for each other.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        yield connection
    finally:
        await connection.close()
