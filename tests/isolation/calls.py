"""Calls of any RPC, by its descriptor, under any token; and what came of them, in a form that compares."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # generated without stubs
from grpc_status import rpc_status

import dossier
from cli.ports import SERVICES, Ports
from services.runtime.tokens import TokenSigner

_SECONDS: Final = 20.0
_DESCRIPTORS: Final = Path(next(iter(dossier.__path__))) / "descriptors.binpb"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a token says."""

    tenant: str | None
    role: str
    subject: str = "somebody"
    on_behalf_of: str = ""

    def __str__(self) -> str:
        return self.role if self.role != "service" else f"service {self.subject}"


@dataclass(frozen=True, slots=True)
class Answer:
    code: str
    said: Mapping[str, Any]
    """The response as JSON, or all that the error told."""

    @property
    def ok(self) -> bool:
        return self.code == "OK"

    @property
    def reason(self) -> str:
        return str(self.said.get("reason", ""))

    def text(self) -> str:
        return json.dumps([self.code, self.said], sort_keys=True)


@cache
def methods() -> Sequence[MethodDescriptor]:
    """Every RPC that the contracts have."""
    described = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes())
    found: list[MethodDescriptor] = []
    for file in described.file:
        if file.package.startswith("dossier."):
            import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
            for service in file.service:
                found += Default().FindServiceByName(f"{file.package}.{service.name}").methods
    return tuple(found)


def served_by(method: MethodDescriptor) -> Sequence[str]:
    """The services that answer it."""
    package = str(method.containing_service.full_name.split(".")[1])
    return [name for name in SERVICES if name != "tenants"] if package == "tenantdata" else [package]


def name_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.name}.{method.name}"


def only_reads(method: MethodDescriptor) -> bool:
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    return options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


class Services:
    """The running services, called as whoever one likes to be."""

    def __init__(self, ports: Ports, signing_key: Path) -> None:
        self._signer = TokenSigner(signing_key)
        self._channels = {
            name: grpc.insecure_channel(f"localhost:{ports.serving(name)}") for name in SERVICES
        }

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def ask(
        self,
        method: MethodDescriptor,
        requests: Sequence[Message],
        caller: Credential,
        *,
        claimed_tenant: str | None = None,
        at: str | None = None,
        request_id: str | None = None,
    ) -> list[Answer]:
        """One answer a request, or one to all of a client's stream; `at` is another service than its own.

        `claimed_tenant` goes into metadata that nobody may believe.
        """
        service = at or served_by(method)[0]
        token = self._signer.mint(
            audience=service,
            tenant=caller.tenant,
            subject=caller.subject,
            role=caller.role,
            on_behalf_of=caller.on_behalf_of,
        )
        metadata = [("authorization", f"Bearer {token}")]
        if request_id is not None:
            metadata.append(("x-request-id", request_id))
        if claimed_tenant is not None:
            metadata += [(name, claimed_tenant) for name in ("x-dossier-tenant", "tenant", "dossier.tenant")]
        sent: Sequence[Any] = [iter(requests)] if method.client_streaming else requests
        return [_answer(self._call(service, method), each, metadata) for each in sent]

    def _call(self, service: str, method: MethodDescriptor) -> Any:
        channel = self._channels[service]
        by_shape = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        return by_shape[method.client_streaming, method.server_streaming](
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )


def _answer(call: Any, request: Any, metadata: Sequence[tuple[str, str]]) -> Answer:
    try:
        response = call(request, metadata=metadata, timeout=_SECONDS)
        if not isinstance(response, Message):
            stream, response = response, next(response)
            stream.cancel()
    except grpc.RpcError as error:
        return _refusal(error)
    return Answer("OK", MessageToDict(response, preserving_proto_field_name=True))


def _refusal(error: Any) -> Answer:
    said: dict[str, Any] = {"message": error.details()}
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        for known in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            message = known()
            if detail.Unpack(message):
                said |= MessageToDict(message, preserving_proto_field_name=True)
    return Answer(error.code().name, said)
