"""The network service as it runs: real gRPC, real PostgreSQL, as its own role."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import SecretStr

from dossier.network.v1.network_service_pb2_grpc import NetworkServiceStub
from services.network.service import build
from services.network.settings import NetworkSettings
from services.runtime.serve import serving
from tests.network.client import Client
from tests.support.databases import TestDatabase
from tests.support.keys import Keys

if TYPE_CHECKING:
    from dossier.network.v1.network_service_pb2_grpc import NetworkServiceAsyncStub


@pytest.fixture
async def stub(database: TestDatabase, keys: Keys) -> AsyncIterator["NetworkServiceAsyncStub"]:
    """The bare stub: a call has no token unless it brings one."""
    settings = NetworkSettings(
        grpc_port=0,
        metrics_port=0,
        database_url=SecretStr(database.url("network")),
        token_jwks_file=keys.jwks_file,
        token_signing_key_file=keys.signing_key_file,
    )
    async with (
        serving("network", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield NetworkServiceStub(channel)


@pytest.fixture
def acme(stub: "NetworkServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("network", tenant="acme"))


@pytest.fixture
def globex(stub: "NetworkServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("network", tenant="globex"))
