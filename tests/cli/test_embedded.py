"""The embedded servers: durable, unreachable from outside, back after a crash."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from cli.embedded.sockets import socket_directory
from cli.instance import State
from cli.supervisor.child import Child, Policy
from cli.supervisor.probe import local_probe
from tests.support.children import running
from tests.support.polling import eventually

POLICY = Policy(probe_seconds=0.05, ready_probe_seconds=0.1, first_backoff_seconds=0.1)


@pytest.fixture
def home(server_home: Path) -> Path:
    home = server_home / "embedded"
    home.mkdir(mode=0o700, exist_ok=True)  # as closed as /root to the user PostgreSQL runs as
    return home


@asynccontextmanager
async def supervised(server: EmbeddedPostgres, log: Path) -> AsyncIterator[Child]:
    child = Child(
        server.program(),
        probe=local_probe(server.ready, reason="not yet"),
        log=log,
        changed=lambda: None,
        policy=POLICY,
    )
    tending = asyncio.create_task(child.tend())
    child.start()
    try:
        yield child
    finally:
        await child.stop()
        tending.cancel()


async def until_ready(child: Child) -> int:
    await asyncio.to_thread(eventually, lambda: child.state is State.READY, what="a ready server")
    mark = child.record().mark
    assert mark is not None
    return mark.pid


async def execute(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_killed_postgresql_comes_back_with_what_was_committed(home: Path) -> None:
    server = EmbeddedPostgres(home / "postgres", socket_directory(home))
    server.prepare()
    url = server.url(database="postgres")

    async with supervised(server, home / "log") as child:
        first = await until_ready(child)
        await execute(url, "CREATE TABLE kept AS SELECT 42 AS number")
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: child.record().restarts == 1, what="a restart")
        await until_ready(child)

        assert await execute(url, "SELECT number FROM kept") == 42


async def test_postgresql_is_durable_and_listens_on_no_port(home: Path) -> None:
    server = EmbeddedPostgres(home / "postgres", socket_directory(home))
    server.prepare()
    url = server.url(database="postgres")

    async with supervised(server, home / "log") as child:
        pid = await until_ready(child)

        assert await execute(url, "SHOW fsync") == "on"
        assert await execute(url, "SHOW synchronous_commit") == "on"
        assert await execute(url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 1
        assert psutil.Process(pid).net_connections("inet") == []


def test_redis_answers_on_its_socket_and_listens_on_no_port(tmp_path: Path) -> None:
    server = EmbeddedRedis(socket_directory(tmp_path))

    with running(server.program(), ready=server.ready, log=tmp_path / "log") as child:
        with redis.Redis.from_url(server.url()) as client:
            assert client.set("key", "value")
            assert client.config_get("appendonly") == {"appendonly": "no"}
        assert psutil.Process(child.pid).net_connections("inet") == []


def test_a_long_data_directory_gets_a_socket_path_that_fits(tmp_path: Path) -> None:
    deep = tmp_path / ("a-folder-with-a-rather-long-name-" * 4)

    folder = socket_directory(deep)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
    assert folder == socket_directory(deep)
    (folder / ".s.PGSQL.5432").unlink()
    folder.rmdir()


def test_an_interrupted_creation_starts_over(home: Path) -> None:
    half = home / "fresh.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")

    server = EmbeddedPostgres(home / "fresh", socket_directory(home), durable=False)
    server.prepare()

    with running(server.program(), ready=server.ready, log=home / "log"):
        assert not half.exists()
