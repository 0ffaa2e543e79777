"""The route of an import: rows in as they are sent, and out as the service takes them."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.types import Receive, Scope, Send

from gateway.asgi import send_json
from gateway.imports.call import ImportCall
from gateway.imports.lines import BodyLimits, Line, lines_of
from gateway.imports.report import Report
from gateway.imports.rows import Refused, RowReader
from gateway.mesh import SUBJECT, Mesh
from gateway.roles import require
from gateway.transcode.bindings import Binding
from gateway.transcode.headers import refuse_if_match
from gateway.transcode.query import fill_from_query
from gateway.transcode.routes import Admits, BoundRoute, to_json
from services.runtime.caller import Caller, acting_for

_ROWS_AT_ONCE: Final = 100
"""What the import that takes the fewest takes in a message."""


class AdmitsImports(Admits, Protocol):
    async def rows_in_time(self, scope: Scope, caller: Caller, most: int, *, until: float) -> int: ...


@dataclass(frozen=True, slots=True)
class ImportLimits:
    body: BodyLimits
    seconds: float


class ImportRoute(BoundRoute):
    """One annotated RPC that takes a stream of rows."""

    def __init__(self, binding: Binding, mesh: Mesh, callers: AdmitsImports, limits: ImportLimits) -> None:
        super().__init__(binding)
        if binding.body_type is None:
            raise AssertionError("an import has rows")
        self._begin = mesh.client_stream(binding.service, binding.method)
        self._callers = callers
        self._limits = limits
        self._request_type = GetMessageClass(binding.method.input_type)
        self._reader = RowReader(binding.body_type, longest=limits.body.line_bytes)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.caller(scope)
        require(self.role, caller)
        # Rows have no etag; those that are sent again change nothing, so that an `Idempotency-Key` is kept.
        refuse_if_match(scope)
        first = self._request_type()
        fill_from_query(first, scope["query_string"].decode("latin-1"), elsewhere=[self.binding.body])
        # Who has nothing left is told so before anything is sent.
        paid = await self._callers.rows(scope, caller, 1)
        with acting_for(caller.tenant, subject=SUBJECT, role=caller.role, on_behalf_of=caller.principal):
            call = ImportCall(
                self.binding.service,
                self._begin(self._limits.seconds),
                stall_seconds=self._limits.body.stall_seconds,
            )
            async with call:
                response = await self._all(scope, receive, caller, call, first=first, paid=paid)
        await send_json(send, 200, to_json(response))

    async def _all(
        self, scope: Scope, receive: Receive, caller: Caller, call: ImportCall, *, first: Message, paid: int
    ) -> Message:
        """Send every row, in messages of as many as have come."""
        until = time.monotonic() + self._limits.seconds
        report = Report()
        before = 0
        async with aclosing(lines_of(scope, receive, limits=self._limits.body)) as coming:
            async for lines in coming:
                waiting = [
                    (number, line)
                    for number, line in enumerate(lines, before + 1)
                    if line is None or line.strip()
                ]
                before += len(lines)
                while waiting:
                    most = min(len(waiting), _ROWS_AT_ONCE)
                    if most > paid:
                        paid += await self._callers.rows_in_time(scope, caller, most - paid, until=until)
                    if rows := self._rows(waiting[:paid], report):
                        await call.send(self._message(first, rows))
                    waiting, paid = waiting[paid:], 0
        response = await call.finish()
        report.complete(response)
        return response

    def _rows(self, lines: Sequence[tuple[int, Line]], report: Report) -> Sequence[Message]:
        rows = []
        for number, line in lines:
            row = self._reader.read(line, number)
            if isinstance(row, Refused):
                report.refuse(row)
            else:
                report.sent(number)
                rows.append(row)
        return rows

    def _message(self, first: Message, rows: Sequence[Message]) -> Message:
        message = self._request_type()
        message.CopyFrom(first)
        # Which field it is, is the annotation's to say.
        cast("Any", getattr(message, self.binding.body)).extend(rows)
        return message
