"""The tenants service as it runs: real gRPC, real PostgreSQL, as its own role."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from pydantic import HttpUrl, SecretStr

from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from egress.permits import Permits
from services.runtime.serve import serving
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub


NOBODY = "localhost:1"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key-encryption key."""
    file = tmp_path / "key-encryption.key"
    file.write_bytes(b64encode(os.urandom(32)) + b"\n")
    return file


@pytest.fixture
def settings(database: TestDatabase, keys: Keys, key_file: Path) -> TenantsSettings:
    return TenantsSettings(
        grpc_port=0,
        metrics_port=0,
        database_url=SecretStr(database.url("tenants")),
        token_jwks_file=keys.jwks_file,
        token_signing_key_file=keys.signing_key_file,
        key_encryption_key_file=key_file,
        deletion_pause_seconds=0.1,
        orchestrator_target=NOBODY,
        history_target=NOBODY,
        knowledge_target=NOBODY,
        network_target=NOBODY,
        synthesis_target=NOBODY,
        permitted_networks=Permits.parse("127.0.0.1/32, acme=10.20.0.0/16"),
        public_url=HttpUrl("https://dossier.example/"),
    )


@pytest.fixture
async def stub(settings: TenantsSettings) -> AsyncIterator["TenantServiceAsyncStub"]:
    """The bare stub: a call has no token unless it brings one."""
    async with (
        serving("tenants", settings, build) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        yield TenantServiceStub(channel)


@pytest.fixture
def operator(stub: "TenantServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("tenants", tenant=None, role="operator", subject="cli"))


@pytest.fixture
def gateway(stub: "TenantServiceAsyncStub", keys: Keys) -> Client:
    return Client(stub, keys.metadata("tenants", tenant=None, subject="gateway"))


@pytest.fixture
def orchestrator(stub: "TenantServiceAsyncStub", keys: Keys) -> Client:
    """Acting for acme."""
    return Client(stub, keys.metadata("tenants", tenant="acme", subject="orchestrator"))
