"""What is left of a client anywhere, as PostgreSQL's superuser and Redis itself see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any, Final

import psycopg
import redis
from psycopg import sql

from tests.isolation.belongings import Belongings

Connection = psycopg.Connection[Any]
PROVIDERS: Final = "tenants.deletions"
"""Names clients that are gone, and is no client's."""


@dataclass(frozen=True, slots=True)
class Traces:
    admin_url: str
    redis_url: str

    def of(self, has: Belongings) -> Mapping[str, int]:
        """How many rows of each table, and how many keys, hold the client's name or its word."""
        with psycopg.connect(self.admin_url) as admin:
            found = {
                table: sum(_says(row, has) for row in rows)
                for table, rows in _everything(admin).items()
                if table != PROVIDERS
            }
        found["redis"] = sum(_says(text, has) for text in self._redis())
        return {where: count for where, count in found.items() if count}

    def bytes_of(self, has: Belongings) -> Mapping[str, str]:
        """Of each table the hash of all rows that are the client's."""
        with psycopg.connect(self.admin_url) as admin:
            return {
                table: md5("\n".join(sorted(row for row in rows if _says(row, has))).encode()).hexdigest()  # noqa: S324
                for table, rows in _everything(admin).items()
            }

    def _redis(self) -> Sequence[str]:
        with redis.Redis.from_url(self.redis_url) as client:
            return [f"{key!r} {client.dump(key)!r}" for key in client.scan_iter()]


def _says(text: str, has: Belongings) -> bool:
    """Also in bytes, which PostgreSQL shows as hexadecimal digits."""
    shown = text.lower()
    return any(
        name in shown or name.encode().hex() in shown for name in (has.tenant.lower(), has.word.lower())
    )


def _everything(admin: Connection) -> Mapping[str, Sequence[str]]:
    """Every row of every table of every schema, as text."""
    tables = admin.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema')"
        " and n.nspname !~ '^pg_(toast|temp)'"
    ).fetchall()
    return {
        f"{schema}.{table}": [
            text
            for (text,) in admin.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
            )
        ]
        for schema, table in tables
    }
