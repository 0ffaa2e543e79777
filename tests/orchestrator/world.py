"""Runs the orchestrator among its peers, in the test's own loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from services.orchestrator.service import build
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.serve import RunningService, serving
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.support.keys import Keys


@dataclass(frozen=True, slots=True)
class Orchestrator:
    service: RunningService
    channel: grpc.aio.Channel
    keys: Keys

    def client(self, tenant: str) -> Client:
        return Client(OrchestratorServiceStub(self.channel), self.keys, tenant=tenant)


def settings_for(database_url: str, peers: Peers, keys: Keys) -> OrchestratorSettings:
    return OrchestratorSettings.model_validate(
        {
            "grpc_port": 0,
            "metrics_port": 0,
            "drain_seconds": 0.5,
            "database_url": database_url,
            "token_jwks_file": keys.jwks_file,
            "token_signing_key_file": keys.signing_key_file,
            "knowledge_seconds": 1.5,
            "tool_seconds": 3,
            "lease_seconds": 1.5,
            "settle_seconds": 0.5,
            # Where the stand-ins are.
            "permitted_networks": "127.0.0.1/32",
            **peers.targets,
        }
    )


@asynccontextmanager
async def orchestrating(settings: OrchestratorSettings, keys: Keys) -> AsyncIterator[Orchestrator]:
    async with (
        serving("orchestrator", settings, build) as service,
        grpc.aio.insecure_channel(service.target) as channel,
    ):
        yield Orchestrator(service, channel, keys)
