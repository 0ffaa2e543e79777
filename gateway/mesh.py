"""The services behind the gateway: which there are, how they are reached, how they are."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from dossier.history.v1 import history_service_pb2
from dossier.knowledge.v1 import knowledge_service_pb2
from dossier.network.v1 import network_service_pb2
from dossier.orchestrator.v1 import orchestrator_service_pb2
from dossier.synthesis.v1 import synthesis_service_pb2
from dossier.tenants.v1 import tenant_service_pb2
from gateway.errors import ServiceFailed
from gateway.settings import GatewaySettings
from services.runtime.channels import open_channel
from services.runtime.tokens import TokenSigner

SUBJECT: Final = "gateway"

CONTRACTS: Final[Mapping[str, ServiceDescriptor]] = MappingProxyType(
    {
        "orchestrator": orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"],
        "history": history_service_pb2.DESCRIPTOR.services_by_name["HistoryService"],
        "knowledge": knowledge_service_pb2.DESCRIPTOR.services_by_name["KnowledgeService"],
        "network": network_service_pb2.DESCRIPTOR.services_by_name["NetworkService"],
        "synthesis": synthesis_service_pb2.DESCRIPTOR.services_by_name["SynthesisService"],
        "tenants": tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"],
    }
)
"""The services of the REST API, in the order in which the documentation shows them."""

Answer = TypeVar("Answer")
Unary = Callable[[Message, float], Awaitable[Message]]
ClientStream = Callable[[float], "grpc.aio.StreamUnaryCall[Message, Message]"]


@dataclass(frozen=True, slots=True)
class Mesh:
    channels: Mapping[str, grpc.aio.Channel]

    def unary(self, service: str, method: MethodDescriptor) -> Unary:
        """Make the call of one RPC, by its descriptor."""
        call = self.channels[service].unary_unary(
            _path(method),
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        async def ask(request: Message, seconds: float) -> Message:
            return await asked(service, call(request, timeout=seconds))

        return ask

    def client_stream(self, service: str, method: MethodDescriptor) -> ClientStream:
        """Make the call of an RPC that takes a stream, by its descriptor."""
        call = self.channels[service].stream_unary(
            _path(method),
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )

        def begin(seconds: float) -> "grpc.aio.StreamUnaryCall[Message, Message]":
            return call(timeout=seconds)

        return begin


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


async def asked(service: str, call: Awaitable[Answer]) -> Answer:
    """Await a call; its failure becomes one that names the service."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise ServiceFailed(service, error) from error


def open_mesh(settings: GatewaySettings, closers: AsyncExitStack) -> Mesh:
    signer = TokenSigner(settings.token_signing_key_file)
    targets = {
        "orchestrator": settings.orchestrator_target,
        "history": settings.history_target,
        "knowledge": settings.knowledge_target,
        "network": settings.network_target,
        "synthesis": settings.synthesis_target,
        "tenants": settings.tenants_target,
    }
    channels = {}
    for name, contract in CONTRACTS.items():
        channel = open_channel(
            targets[name],
            audience=name,
            services=[contract],
            signer=signer,
            subject=SUBJECT,
            tls=settings.tls,
        )
        closers.push_async_callback(channel.close)
        channels[name] = channel
    return Mesh(channels)
