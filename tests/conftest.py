"""The servers and keys that any test may ask for. Nothing starts until a test asks."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from tests.support.children import running
from tests.support.databases import DatabaseServer, TestDatabase
from tests.support.embedder import EmbedderServer, running_embedder
from tests.support.keys import Keys, Mint
from tests.support.leaks import Watch, overhearing
from tests.support.mesh import Mesh, running_mesh
from tests.support.otlp import Receiver, receiving

# Besides its own folder's, the files whose tests use the run's one mesh.
ON_THE_MESH = (
    "tests/mesh/",
    "tests/audit/test_rpcs.py",
    "tests/audit/test_outages.py",
    "tests/cli/test_verbs.py",
    "tests/cli/test_import_run.py",
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
    """A file's tests stay on one worker, and so does everything on the mesh, so that there is only one.

    The isolation suite has two meshes of its own, over all its files.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/isolation/"):
            return "isolation, pooled" if "pgbouncer" in nodeid.partition("::")[2] else "isolation"
        return "mesh" if nodeid.startswith(ON_THE_MESH) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


WATCH = pytest.StashKey[Watch]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WATCH] = Watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for name, content in report.sections:
        item.config.stash[WATCH].look(content, f"{item.nodeid}, {name}")
    return report


@pytest.fixture(scope="session", autouse=True)
def watch(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Looks for secrets where none may be. The first to be set up, and so the last to be asked."""
    watch = pytestconfig.stash[WATCH]
    with overhearing(watch):
        yield watch
    watch.look_into_folder(tmp_path_factory.getbasetemp())
    assert not watch.found


@pytest.fixture(scope="session")
def server_home(watch: Watch) -> Iterator[Path]:
    """Short and passable, where pytest's own folders are neither: sockets and another user live here."""
    home = Path(tempfile.mkdtemp(prefix="dossier-tests-"))
    home.chmod(0o711)
    yield home
    watch.look_into_folder(home)
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


@pytest.fixture(scope="session")
def embedder(server_home: Path) -> Iterator[EmbedderServer]:
    """The packaged model: a service embeds with it if its settings say so (`**embedder.settings`)."""
    with running_embedder(server_home / "embedder") as embedder:
        yield embedder


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis, watch: Watch) -> Iterator[str]:
    """The run's Redis, emptied."""
    with redis.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    yield redis_server.url()
    watch.look_into_redis(redis_server.url())


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The run's keys: `.signing_key_file`, `.jwks_file`, `.mint(...)`, `.metadata(...)`."""
    return Keys.generated_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def mint(keys: Keys) -> Mint:
    """`mint("history", tenant="acme", role="technician")` is a token that history accepts."""
    return keys.mint


@pytest.fixture(scope="session")
def otlp(watch: Watch) -> Iterator[Receiver]:
    """The spans that the run's mesh exports."""
    with receiving() as receiver:
        yield receiver
    for received in receiver.spans():
        watch.look(str(received.span), f"a span of {received.service}")


@pytest.fixture(scope="session")
def mesh(server_home: Path, otlp: Receiver, watch: Watch) -> Iterator[Mesh]:
    """The run's one mesh: all seven processes on servers of its own, with the sample client and its tool.

    A test that stops a part of it starts it again (`with mesh.without("knowledge")`).
    """
    with running_mesh(server_home / "whole-mesh", otlp_endpoint=otlp.endpoint) as mesh:
        watch.keep(mesh.client.api_key, mesh.client.webhook_secret)
        watch.keep_keys_of(mesh.instance)
        yield mesh
        watch.look_into_redis(mesh.record.redis_url)
