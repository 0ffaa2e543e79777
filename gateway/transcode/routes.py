"""The REST routes: check who calls, make the request, make the call, write the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from gateway.asgi import read_body, send_json, unless_gone
from gateway.errors import FieldInvalid
from gateway.mesh import SUBJECT, Mesh
from gateway.roles import require, role_for
from gateway.transcode.bindings import WHOLE_BODY, Binding
from gateway.transcode.body import fill, parse_json
from gateway.transcode.headers import etag_header, fill_from_headers
from gateway.transcode.query import fill_from_query, set_from_text
from services.runtime.caller import Caller, acting_for


class Admits(Protocol):
    async def caller(self, scope: Scope) -> Caller: ...

    async def body(self, scope: Scope, caller: Caller, size: int) -> None: ...

    async def rows(self, scope: Scope, caller: Caller, most: int) -> int: ...


@dataclass(frozen=True, slots=True)
class RestLimits:
    body_bytes: int
    body_seconds: float
    seconds: float


def to_json(message: Message) -> dict[str, Any]:
    """Write proto JSON as the REST API promises it: names as in the contract, default values included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


class BoundRoute(BaseRoute):
    """Where an annotated RPC is found."""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.path = binding.template.text
        self.methods = {binding.http_method} | ({"HEAD"} if binding.http_method == "GET" else set())
        self.role = role_for(binding.method, http_method=binding.http_method)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        try:
            variables = self.binding.template.match(scope["raw_path"].decode("latin-1"))
        except UnicodeDecodeError:
            raise FieldInvalid("path", "must be UTF-8") from None
        if variables is None:
            return Match.NONE, {}
        return (
            Match.FULL if scope["method"] in self.methods else Match.PARTIAL,
            {"path_params": variables},
        )


class RpcRoute(BoundRoute):
    """One annotated RPC; `is_row` where its body is what an import has many of."""

    def __init__(
        self, binding: Binding, mesh: Mesh, callers: Admits, limits: RestLimits, *, is_row: bool
    ) -> None:
        super().__init__(binding)
        self._ask = mesh.unary(binding.service, binding.method)
        self._callers = callers
        self._limits = limits
        self._is_row = is_row
        self._request_type = GetMessageClass(binding.method.input_type)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.caller(scope)
        require(self.role, caller)
        body = await read_body(
            scope, receive, limit=self._limits.body_bytes, seconds=self._limits.body_seconds
        )
        await self._callers.body(scope, caller, len(body))
        request = self._request(scope, body)
        if self._is_row:
            await self._callers.rows(scope, caller, 1)
        with acting_for(caller.tenant, subject=SUBJECT, role=caller.role, on_behalf_of=caller.principal):
            response = await unless_gone(receive, self._answer(request, caller))
        await send_json(send, 200, to_json(response), headers=etag_header(response))

    async def _answer(self, request: Message, caller: Caller) -> Message:  # noqa: ARG002 - others need it
        return await self._ask(request, self._limits.seconds)

    def _request(self, scope: Scope, body: bytes) -> Message:
        binding = self.binding
        request = self._request_type()
        match binding.body:
            case "":
                if body.strip():
                    raise FieldInvalid("body", "is not taken here")
            case "*":
                fill(request, parse_json(body))
            case field:
                inner: Message = getattr(request, field)
                inner.SetInParent()
                fill(inner, parse_json(body))
        elsewhere: Sequence[str] = (
            list(binding.method.input_type.fields_by_name)
            if binding.body == WHOLE_BODY
            else [binding.body, *binding.template.variables]
        )
        fill_from_query(request, scope["query_string"].decode("latin-1"), elsewhere=elsewhere)
        for name, text in scope["path_params"].items():
            set_from_text(request, binding.method.input_type.fields_by_name[name], text, path=name)
        fill_from_headers(request, binding.method, scope)
        return request
