"""The history service as it runs: real gRPC, real PostgreSQL, as its own role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import SecretStr

from dossier.history.v1.history_service_pb2_grpc import HistoryServiceStub
from services.history.service import build
from services.history.settings import HistorySettings
from services.runtime.serve import serving
from tests.history.client import Client
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.history.v1.history_service_pb2_grpc import HistoryServiceAsyncStub


def settings_for(database: TestDatabase, keys: Keys, **embedding: object) -> HistorySettings:
    return HistorySettings(
        grpc_port=0,
        metrics_port=0,
        database_url=SecretStr(database.url("history")),
        token_jwks_file=keys.jwks_file,
        token_signing_key_file=keys.signing_key_file,
        **embedding,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running_history(settings: HistorySettings) -> AsyncIterator["HistoryServiceAsyncStub"]:
    async with (
        serving("history", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield HistoryServiceStub(channel)


@pytest.fixture
async def stub(database: TestDatabase, keys: Keys) -> AsyncIterator["HistoryServiceAsyncStub"]:
    """The bare stub: a call has no token unless it brings one. Words alone are compared."""
    async with running_history(settings_for(database, keys)) as stub:
        yield stub


@pytest.fixture
def acme(stub: "HistoryServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("history", tenant="acme"))


@pytest.fixture
def globex(stub: "HistoryServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("history", tenant="globex"))
