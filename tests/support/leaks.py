"""Secrets are looked for in everything that a run of the tests leaves behind or is answered.

Logs of every process, what tests print and log, error bodies over HTTP and gRPC, errors of the command,
traces, Redis. Each worker's findings fail it at its end, whatever its tests were about.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import grpc
import httpx
import orjson
import psycopg
import redis
from psycopg import sql

from cli.demo.desk import AUTHTOKEN
from cli.instance import Instance
from services.tenants.model import Secret

CANARY: Final = "canary-3c9e5b71"
"""Part of the credentials that tests make up: nothing else may ever say it."""

# Keys and tokens tell what they are, whoever made them.
_TELLTALE: Final = re.compile(rb"dsk_[\w-]{43}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}")
_ENOUGH: Final = 12
"""Shorter than this, text may be the same by chance."""


class Watch:
    def __init__(self) -> None:
        self._secrets = {CANARY.encode(), AUTHTOKEN.encode()}
        self.found: list[str] = []
        self.looked = 0
        """How many bytes were searched."""

    def keep(self, *secrets: str | bytes) -> None:
        """Look for these, too, from now on."""
        told = (each.encode() if isinstance(each, str) else each for each in secrets)
        self._secrets |= {each for each in told if len(each) >= _ENOUGH}

    def keep_keys_of(self, instance: Instance) -> None:
        """The instance's own: the one that signs, and those that encrypt."""
        self.keep(orjson.loads(instance.signing_key.read_bytes())["d"])
        self.keep(*instance.key_encryption_key.read_bytes().split())
        for key in instance.certificates.glob("*.key"):
            # A line of it: the first and the last say only what it is.
            self.keep(key.read_bytes().split()[-4])

    def look(self, text: str | bytes, where: str) -> None:
        said = text.encode(errors="replace") if isinstance(text, str) else text
        self.looked += len(said)
        hits = [each for each in self._secrets if each in said]
        hits += [found.group() for found in _TELLTALE.finditer(said)]
        # What was found is not repeated whole: this goes into a log, too.
        self.found += (f"{where}: {hit[:8].decode(errors='replace')}…" for hit in hits)

    def look_into_folder(self, folder: Path) -> None:
        for log in folder.rglob("*.log"):
            if log.is_file():
                self.look(log.read_bytes(), str(log.relative_to(folder)))

    def look_into_redis(self, url: str) -> None:
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter():
                self.look(key + b" " + _value(client, key), f"Redis, {key.decode(errors='replace')}")

    def look_into_database(self, admin_url: str) -> None:
        """Every row of every table, as text: what is kept of secrets is a hash, or encrypted."""
        with psycopg.connect(admin_url) as admin:
            tables = admin.execute(
                "select relnamespace::regnamespace::text, relname from pg_class where relkind = 'r'"
                " and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
            ).fetchall()
            for schema, table in tables:
                rows = admin.execute(
                    sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
                )
                for (row,) in rows:
                    self.look(row, f"table {schema}.{table}")


def _value(client: redis.Redis, key: bytes) -> bytes:
    read: dict[bytes | str, Callable[[], Any]] = {
        b"string": lambda: client.get(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"hash": lambda: client.hgetall(key),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: client.xrange(key),
        b"none": lambda: b"",
    }
    return repr(read[client.type(key)]()).encode()


@contextmanager
def overhearing(watch: Watch) -> Iterator[None]:
    """Hear every error that this process is answered, and learn every secret that it makes."""
    with ExitStack() as patches:
        for read in ("read", "aread"):
            patches.enter_context(patch.object(httpx.Response, read, _bodies(watch, read)))
        patches.enter_context(patch.object(grpc.aio.AioRpcError, "__init__", _statuses(watch)))
        patches.enter_context(patch.object(subprocess, "run", _failures(watch)))
        patches.enter_context(patch.object(Secret, "random", _made(watch)))
        yield


def _bodies(watch: Watch, read: str) -> Any:
    original = getattr(httpx.Response, read)

    def look(response: httpx.Response) -> None:
        if response.is_error:
            said = repr(response.headers.raw).encode() + response.content
            watch.look(said, f"{response.status_code} from {response.request.url.path}")

    if read == "read":

        @wraps(original)
        def reading(response: httpx.Response) -> bytes:
            content: bytes = original(response)
            look(response)
            return content

        return reading

    @wraps(original)
    async def awaiting(response: httpx.Response) -> bytes:
        content: bytes = await original(response)
        look(response)
        return content

    return awaiting


def _statuses(watch: Watch) -> Any:
    original: Any = grpc.aio.AioRpcError.__init__

    @wraps(original)
    def init(error: grpc.aio.AioRpcError, *told: Any, **named: Any) -> None:
        original(error, *told, **named)
        trailing = [*(error.trailing_metadata() or ())]
        watch.look(f"{error.details()} {trailing}", f"gRPC {error.code().name}")

    return init


def _failures(watch: Watch) -> Any:
    original = subprocess.run

    @wraps(original)
    def run(*told: Any, **named: Any) -> subprocess.CompletedProcess[Any]:
        done: subprocess.CompletedProcess[Any] = original(*told, **named)
        for said in (done.stdout, done.stderr) if done.returncode else ():
            watch.look(said or "", f"a command that failed: {done.args}")
        return done

    return run


def _made(watch: Watch) -> Any:
    original = Secret.random

    def random(prefix: str = "") -> Secret:
        secret = original(prefix)
        watch.keep(secret.reveal())
        return secret

    return random
