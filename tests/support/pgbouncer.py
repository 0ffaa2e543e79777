"""PgBouncer in transaction mode in front of a test's PostgreSQL: what many installations run."""

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import psycopg
from psycopg.rows import dict_row

from cli.migrate.urls import database_of
from cli.program import Program, SystemUser
from tests.support.children import running

POOL_SIZE = 3
"""Server connections a role: fewer than a service's pool, so that its transactions take turns on them."""
_PORT = 6432
_ADMIN = "pgbouncer"


@dataclass(frozen=True, slots=True)
class PgBouncer:
    sockets: Path

    def url(self, database: str, role: str) -> str:
        where = urlencode({"host": str(self.sockets), "port": _PORT}, quote_via=quote, safe="/")
        return f"postgresql://{role}@/{quote(database)}?{where}"

    def transactions(self, database: str) -> int:
        """How many it has passed on to this database."""
        return sum(
            int(row["xact_count"]) for row in self._shown("stats_totals") if row["database"] == database
        )

    def pool_mode(self) -> str:
        return next(row["value"] for row in self._shown("config") if row["key"] == "pool_mode")

    def _shown(self, what: Literal["config", "stats_totals"]) -> list[dict[str, str]]:
        with psycopg.connect(self.url("pgbouncer", _ADMIN), autocommit=True) as connection:
            # The console speaks the simple protocol only.
            cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
            return [
                {name: str(value) for name, value in row.items()} for row in cursor.execute(f"show {what}")
            ]


@contextmanager
def running_pgbouncer(home: Path, *, admin_url: str, roles: Sequence[str]) -> Iterator[PgBouncer]:
    """Run it for these roles of the server that `admin_url` names, in the new folder `home`."""
    bouncer = PgBouncer(home)
    home.mkdir(mode=0o700)
    server = Path(parse_qs(urlsplit(admin_url).query)["host"][0])
    (home / "users.txt").write_text("".join(f'"{role}" ""\n' for role in (*roles, _ADMIN)))
    configuration = home / "pgbouncer.ini"
    configuration.write_text(
        f"""
[databases]
{database_of(admin_url)} = host={server}
[pgbouncer]
unix_socket_dir = {home}
listen_port = {_PORT}
auth_type = trust
auth_file = {home / "users.txt"}
admin_users = {_ADMIN}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
"""
    )
    # It does not run as root, and the server's socket is open to the server's user only.
    owner = server.stat()
    user = SystemUser(owner.st_uid, owner.st_gid) if owner.st_uid != os.geteuid() else None
    if user is not None:
        for path in (home, *home.iterdir()):
            os.chown(path, user.uid, user.gid)
    program = Program("pgbouncer", (_installed(), str(configuration)), {"PATH": os.defpath}, user=user)
    log = home.with_name(f"{home.name}.log")
    with running(program, ready=lambda: _answers(home), log=log):
        yield bouncer


def _installed() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise AssertionError(
            "PgBouncer is not installed, and nothing is shown by leaving it out. On Debian and its kin:"
            " apt-get install --no-install-recommends pgbouncer"
        )
    return found


def _answers(home: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(home / f".s.PGSQL.{_PORT}")) == 0
