"""The synthesis service as it runs: real gRPC, real PostgreSQL as its own role, a real OpenAI client."""

import pytest

from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.llm_endpoint import LlmEndpoint
from tests.synthesis.client import Arrangement


@pytest.fixture(autouse=True)
def _no_key_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def arrangement(database: TestDatabase, keys: Keys) -> Arrangement:
    return Arrangement(database, keys)


@pytest.fixture
def endpoint() -> LlmEndpoint:
    return LlmEndpoint()
