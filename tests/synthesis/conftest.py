"""The synthesis service as it runs: real gRPC, real PostgreSQL as its own role, a real OpenAI client."""

from collections.abc import Iterator

import pytest

from tests.support.databases import DatabaseServer, TestDatabase
from tests.support.keys import Keys
from tests.support.llm_endpoint import LlmEndpoint
from tests.synthesis.client import Arrangement


@pytest.fixture(autouse=True)
def _no_key_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shared_database(database_server: DatabaseServer) -> Iterator[TestDatabase]:
    """One for many tests, each with tenants of its own: what they must never see is always there."""
    with database_server.database() as database:
        yield database


@pytest.fixture
def arrangement(shared_database: TestDatabase, keys: Keys) -> Arrangement:
    return Arrangement(shared_database, keys)


@pytest.fixture
def endpoint() -> LlmEndpoint:
    return LlmEndpoint()
