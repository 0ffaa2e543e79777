"""The servers and keys that any test may ask for. Nothing starts until a test asks."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from tests.support.children import running
from tests.support.databases import DatabaseServer, TestDatabase
from tests.support.keys import Keys, Mint
from tests.support.mesh import Mesh, running_mesh
from tests.support.otlp import Receiver, receiving


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the workers how to share: whatever uses the one mesh stays together, as does each file."""
    for item in items:
        # Its spans go to that receiver.
        shares_mesh = "otlp" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("mesh" if shares_mesh else item.location[0]))


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """Short and passable, where pytest's own folders are neither: sockets and another user live here."""
    home = Path(tempfile.mkdtemp(prefix="dossier-tests-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def database_server(server_home: Path) -> Iterator[DatabaseServer]:
    """The run's one PostgreSQL."""
    sockets = server_home / "postgres-run"
    sockets.mkdir(mode=0o700)
    server = EmbeddedPostgres(server_home / "postgres", sockets, durable=False)
    server.prepare()
    with running(server.program(), ready=server.ready, log=server_home / "postgres.log"):
        yield DatabaseServer(server)


@pytest.fixture
def database(database_server: DatabaseServer) -> Iterator[TestDatabase]:
    """A fresh, migrated database: `.admin_url`, and `.url("history")` as that service's role."""
    with database_server.database() as database:
        yield database


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """The address of a database nobody has made yet."""
    with database_server.empty_database() as url:
        yield url


@pytest.fixture(scope="session")
def redis_server(server_home: Path) -> Iterator[EmbeddedRedis]:
    """The run's one Redis."""
    server = EmbeddedRedis(server_home)
    with running(server.program(), ready=server.ready, log=server_home / "redis.log"):
        yield server


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The run's Redis, emptied."""
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    return redis_server.url()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The run's keys: `.signing_key_file`, `.jwks_file`, `.mint(...)`, `.metadata(...)`."""
    return Keys.generated_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def mint(keys: Keys) -> Mint:
    """`mint("history", tenant="acme", role="technician")` is a token that history accepts."""
    return keys.mint


@pytest.fixture(scope="session")
def otlp() -> Iterator[Receiver]:
    """The spans that the run's mesh exports."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def mesh(server_home: Path, otlp: Receiver) -> Iterator[Mesh]:
    """The run's one mesh: all seven processes on servers of its own, with the sample client and its tool.

    A test that stops a part of it starts it again (`with mesh.without("knowledge")`).
    """
    with running_mesh(server_home / "whole-mesh", otlp_endpoint=otlp.endpoint) as mesh:
        yield mesh
