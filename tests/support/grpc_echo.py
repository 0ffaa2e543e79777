"""One RPC per kind of call, described at run time: the kernel is tested without our contracts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, cast

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2

_FIELD = descriptor_pb2.FieldDescriptorProto
SERVICE = "kernel.test.v1.EchoService"


def _rules(field: descriptor_pb2.FieldDescriptorProto) -> Any:
    extensions: Any = field.options.Extensions
    return extensions[validate_pb2.field]


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="kernel/test/v1/echo.proto",
        package="kernel.test.v1",
        syntax="proto3",
        dependency=["buf/validate/validate.proto"],
    )
    echo = file.message_type.add(name="Echo")
    text = echo.field.add(name="text", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    _rules(text).string.min_len = 1
    tags = echo.field.add(name="tags", number=2, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_REPEATED)
    _rules(tags).repeated.items.string.max_len = 3
    service = file.service.add(name="EchoService")
    for name, asks_stream, answers_stream in (
        ("Say", False, False),
        ("Write", False, False),
        ("Repeat", False, True),
        ("Collect", True, False),
        ("Chat", True, True),
    ):
        method = service.method.add(
            name=name,
            input_type=".kernel.test.v1.Echo",
            output_type=".kernel.test.v1.Echo",
            client_streaming=asks_stream,
            server_streaming=answers_stream,
        )
        if name == "Say":
            method.options.idempotency_level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    return file


_pool = descriptor_pool.Default()
_pool.AddSerializedFile(_file().SerializeToString())
DESCRIPTOR: ServiceDescriptor = _pool.FindServiceByName(SERVICE)
_Echo: type[Message] = message_factory.GetMessageClass(_pool.FindMessageTypeByName("kernel.test.v1.Echo"))


class Echo(Protocol):
    text: str
    tags: list[str]


def echo(text: str, *tags: str) -> Any:
    return cast("Any", _Echo)(text=text, tags=tags)


Context = grpc.aio.ServicerContext[Any, Any]
Deed = Callable[[str], Awaitable[str]]


class EchoServicer:
    """Answers with what `deed` makes of the text; a stream answers twice, before and after the deed."""

    def __init__(self, deed: Deed) -> None:
        self.deed = deed

    async def Say(self, request: Echo, _context: Context) -> Any:
        return echo(await self.deed(request.text))

    Write = Say

    async def Repeat(self, request: Echo, _context: Context) -> AsyncIterator[Any]:
        yield echo(request.text)
        yield echo(await self.deed(request.text))

    async def Collect(self, requests: AsyncIterator[Echo], _context: Context) -> Any:
        return echo(await self.deed("+".join([request.text async for request in requests])))

    async def Chat(self, requests: AsyncIterator[Echo], _context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            yield echo(request.text)
            yield echo(await self.deed(request.text))


def add_to(server: grpc.aio.Server, servicer: EchoServicer) -> None:
    kinds = {
        "Say": grpc.unary_unary_rpc_method_handler,
        "Write": grpc.unary_unary_rpc_method_handler,
        "Repeat": grpc.unary_stream_rpc_method_handler,
        "Collect": grpc.stream_unary_rpc_method_handler,
        "Chat": grpc.stream_stream_rpc_method_handler,
    }
    handlers = {
        name: kind(
            getattr(servicer, name),
            request_deserializer=_Echo.FromString,
            response_serializer=_Echo.SerializeToString,
        )
        for name, kind in kinds.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])


class EchoStub:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        def path(name: str) -> dict[str, Any]:
            return {
                "method": f"/{SERVICE}/{name}",
                "request_serializer": _Echo.SerializeToString,
                "response_deserializer": _Echo.FromString,
            }

        self.Say = channel.unary_unary(**path("Say"))
        self.Write = channel.unary_unary(**path("Write"))
        self.Repeat = channel.unary_stream(**path("Repeat"))
        self.Collect = channel.stream_unary(**path("Collect"))
        self.Chat = channel.stream_stream(**path("Chat"))
