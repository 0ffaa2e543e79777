"""One interceptor shape for the four kinds of call.

A concern is an async context manager around the call and, where it cares, a look at each message received.
"""

import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

import grpc
from google.protobuf.message import Message

from services.runtime.deadline import within
from services.runtime.errors import DeadlineExceeded

_OPEN_TO_ALL: Final = ("/grpc.health.v1.", "/grpc.reflection.")
# What is buffered on the way is megabytes, which a slow reader takes minutes for.
_UNTAKEN_SECONDS: Final = 600.0

# In quotes: these classes are generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Request = TypeVar("Request")
Response = TypeVar("Response")
Continuation: TypeAlias = Callable[
    [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Request, Response] | None"]
]
Incoming: TypeAlias = Message | AsyncIterator[Message]


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC of this server; `infrastructure` is health and reflection, which serve everybody."""

    path: str
    service: str
    name: str
    kind: str
    infrastructure: bool

    @classmethod
    def of(cls, path: str, handler: Handler) -> Self:
        service, _, name = path.removeprefix("/").partition("/")
        asks = "client_stream" if handler.request_streaming else "unary"
        kinds = {"unary": "server_stream", "client_stream": "bidi_stream"}
        return cls(
            path=path,
            service=service,
            name=name,
            kind=kinds[asks] if handler.response_streaming else asks,
            infrastructure=path.startswith(_OPEN_TO_ALL),
        )

    @property
    def answers_stream(self) -> bool:
        return self.kind in {"server_stream", "bidi_stream"}


@dataclass(slots=True)
class Call:
    """One call in progress. The errors concern writes how it ended; the concerns around it read that."""

    method: Method
    context: Context
    metadata: dict[str, str]
    started: float = field(default_factory=time.perf_counter)
    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    failure: Exception | None = None


class Concern(Protocol):
    def around(self, call: Call) -> AbstractAsyncContextManager[None]: ...


@runtime_checkable
class MessageConcern(Concern, Protocol):
    def received(self, call: Call, message: Message) -> None: ...


class Interceptor(grpc.aio.ServerInterceptor):
    """Runs the concerns around every call, the first one outermost."""

    def __init__(self, concerns: Sequence[Concern]) -> None:
        self._concerns = concerns
        self._receivers = [each.received for each in concerns if isinstance(each, MessageConcern)]
        self._handlers: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: "Continuation[Request, Response]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Request, Response] | None":
        path = handler_call_details.method
        surrounded: grpc.RpcMethodHandler[Request, Response] | None = self._handlers.get(path)
        if surrounded is not None:
            return surrounded
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        surrounded = self._handlers[path] = self._surround(handler, Method.of(path, handler))
        return surrounded

    def _surround(self, handler: Handler, method: Method) -> Any:
        behavior, build = _parts(handler)
        # A response stream is written from a coroutine even where the handler is a generator: a generator
        # abandoned by its client is closed later and elsewhere, where contexts and spans no longer fit.
        finish = _write_each if inspect.isasyncgenfunction(behavior) else _return_one
        answer: Answer = functools.partial(finish, behavior)
        if self._receivers and not method.infrastructure:
            answer = functools.partial(_receiving, self._receivers, answer)
        for concern in reversed(self._concerns):
            answer = functools.partial(_within, concern, answer)

        async def serve(request: Incoming, context: Context) -> Message | None:
            metadata = {
                key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
            }
            return await answer(Call(method=method, context=context, metadata=metadata), request)

        return build(
            serve,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


Receive: TypeAlias = Callable[[Call, Message], None]
Answer: TypeAlias = Callable[[Call, Incoming], Awaitable[Message | None]]
Behavior: TypeAlias = Callable[[Incoming, Context], Any]


async def _within(concern: Concern, answer: Answer, call: Call, request: Incoming) -> Message | None:
    async with concern.around(call):
        return await answer(call, request)


async def _receiving(
    receivers: Sequence[Receive], answer: Answer, call: Call, request: Incoming
) -> Message | None:
    if not isinstance(request, Message):
        return await answer(call, _Received(request, receivers, call))
    for receive in receivers:
        receive(call, request)
    return await answer(call, request)


async def _return_one(behavior: Behavior, call: Call, request: Incoming) -> Message | None:
    response: Message | None = await behavior(request, call.context)
    return response


async def _write_each(behavior: Behavior, call: Call, request: Incoming) -> None:
    """Who does not go on reading must not hold for ever what the answer is made of."""
    async with aclosing(behavior(request, call.context)) as responses:
        async for response in responses:
            async with within(_UNTAKEN_SECONDS, _untaken):
                await call.context.write(response)


def _untaken() -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the answer was not read on for {_UNTAKEN_SECONDS:g} s; ask again and read it all"
    )


class _Received:
    """A request stream whose messages are looked at before the handler sees them."""

    def __init__(self, messages: AsyncIterator[Message], receivers: Sequence[Receive], call: Call) -> None:
        self._messages = messages
        self._reading: AsyncIterator[Message] | None = None
        self._receivers = receivers
        self._call = call

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        if self._reading is None:
            # Not before the handler reads: grpc's iterator warns when it is made and never used.
            self._reading = aiter(self._messages)
        message = await anext(self._reading)
        for receive in self._receivers:
            receive(self._call, message)
        return message


def _parts(handler: Any) -> tuple[Behavior, Callable[..., Any]]:
    """Take a handler apart: what it does, and the function that builds one of its kind."""
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            return handler.unary_unary, grpc.unary_unary_rpc_method_handler
        case False, True:
            return handler.unary_stream, grpc.unary_stream_rpc_method_handler
        case True, False:
            return handler.stream_unary, grpc.stream_unary_rpc_method_handler
        case _:
            return handler.stream_stream, grpc.stream_stream_rpc_method_handler
