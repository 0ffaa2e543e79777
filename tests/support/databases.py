"""A fresh, migrated database per test, copied from a template that is made once."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from cli.embedded.postgres import EmbeddedPostgres
from cli.migrate.run import migrate
from cli.migrate.urls import with_user

TEMPLATE = "dossier_template"


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """One database of this test's own; every service's schema is in it."""

    __test__ = False

    admin_url: str
    """As the superuser who owns the tables: for arranging, never for proving row-level security."""

    def url(self, service: str) -> str:
        """As the role the service runs under: `url("history")` logs in as dossier_history."""
        return with_user(self.admin_url, f"dossier_{service}")


class DatabaseServer:
    """The run's PostgreSQL and its template."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._migrated = False

    def url(self, database: str = "postgres") -> str:
        return self._server.url(database=database)

    @contextmanager
    def database(self) -> Iterator[TestDatabase]:
        if not self._migrated:
            asyncio.run(migrate(self.url(TEMPLATE)))
            self._migrated = True
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            yield TestDatabase(self.url(name))
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """The URL of a database that does not exist yet; dropped afterwards if somebody made it."""
        name = f"empty_{next(self._numbers)}"
        try:
            yield self.url(name)
        finally:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url())
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())
