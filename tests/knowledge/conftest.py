"""The knowledge service as it runs: real gRPC, real PostgreSQL, as its own role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import SecretStr

from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceStub
from services.knowledge.service import build
from services.knowledge.settings import KnowledgeSettings
from services.runtime.serve import serving
from tests.knowledge.client import Client
from tests.support.confluence import Confluence, running_confluence
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.knowledge.v1.knowledge_service_pb2_grpc import KnowledgeServiceAsyncStub


def settings_for(database: TestDatabase, keys: Keys, **embedding: object) -> KnowledgeSettings:
    return KnowledgeSettings(
        grpc_port=0,
        metrics_port=0,
        database_url=SecretStr(database.url("knowledge")),
        token_jwks_file=keys.jwks_file,
        token_signing_key_file=keys.signing_key_file,
        **embedding,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running_knowledge(settings: KnowledgeSettings) -> AsyncIterator["KnowledgeServiceAsyncStub"]:
    async with (
        serving("knowledge", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield KnowledgeServiceStub(channel)


@pytest.fixture
async def stub(database: TestDatabase, keys: Keys) -> AsyncIterator["KnowledgeServiceAsyncStub"]:
    """The bare stub: a call has no token unless it brings one. Words alone are compared."""
    async with running_knowledge(settings_for(database, keys)) as stub:
        yield stub


@pytest.fixture
async def base_url(confluence: Confluence) -> AsyncIterator[str]:
    """Where the test's own Confluence is."""
    async with running_confluence(confluence) as address:
        yield address


@pytest.fixture
def acme(stub: "KnowledgeServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("knowledge", tenant="acme"))


@pytest.fixture
def globex(stub: "KnowledgeServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("knowledge", tenant="globex"))
