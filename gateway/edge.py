"""Around every request: its id, its span, its count, its line in the log, and its failure as an answer."""

import time
from collections.abc import MutableMapping
from contextlib import nullcontext
from typing import Any, Final

import structlog
from opentelemetry import trace
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.asgi import ROUTE, header, send_json
from gateway.errors import BodyUnread, ClientGone, Problem, ServiceFailed, problem_of
from gateway.limits import limit_headers
from gateway.telemetry import UNMATCHED, count_request, end_span, method_label, root_span
from services.runtime import telemetry
from services.runtime.errors import ServiceError
from services.runtime.request_id import adopt_request_id

_CLIENT_GONE: Final = 499
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")

_log = structlog.get_logger(__name__)


class Edge:
    def __init__(self, app: ASGIApp, *, access_log: bool) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = adopt_request_id(header(scope, b"x-request-id"))
        exchange = _Exchange(self._app, scope, request_id=request_id, send=send)
        tracer = telemetry.current_tracer()
        with root_span(tracer, scope) if tracer else nullcontext(trace.INVALID_SPAN) as span:
            try:
                await exchange.run(receive)
            finally:
                end_span(span, scope, status=exchange.status)
                self._account(exchange, scope)

    def _account(self, exchange: "_Exchange", scope: Scope) -> None:
        seconds = time.perf_counter() - exchange.started
        count_request(scope, status=exchange.status, seconds=seconds)
        if self._access_log or exchange.status >= 500:
            fields: dict[str, object] = {
                "method": method_label(scope),
                "route": scope.get(ROUTE, UNMATCHED),
                "status": exchange.status,
                "duration_ms": round(seconds * 1000, 2),
            }
            if exchange.problem is not None:
                fields["reason"] = exchange.problem.reason
            _log.info("request_answered", **fields)


class _Exchange:
    """One request and how it was answered."""

    __slots__ = ("_app", "_request_id", "_scope", "_send", "problem", "started", "status")

    def __init__(self, app: ASGIApp, scope: Scope, *, request_id: str, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self.started = time.perf_counter()
        # What stays when the client leaves, or the process has to, before there is an answer.
        self.status = _CLIENT_GONE
        self.problem: Problem | None = None

    async def run(self, receive: Receive) -> None:
        try:
            await self._app(self._scope, receive, self._answer)
        except ClientGone:
            return
        except Exception as error:
            if self.status != _CLIENT_GONE:
                # Half an answer is out: the server cuts the connection, lest it pass for a whole one.
                raise
            self.problem = problem_of(error, self._request_id)
            _log_cause(error, self.problem)
            body = self.problem.body(self._request_id)
            await send_json(
                self._answer,
                self.problem.status,
                body,
                headers=self.problem.headers,
                unread=receive if isinstance(error, BodyUnread) else None,
            )

    async def _answer(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self._request_id.encode())
            limits = limit_headers(self._scope)
            message["headers"] = [*message.get("headers", ()), own, _NOSNIFF, *limits]
        await self._send(message)


def _log_cause(error: Exception, problem: Problem) -> None:
    """Say once what the caller is not told."""
    match error:
        case ServiceFailed() if problem.status >= 500:
            _log.warning(
                "service_failed",
                dependency=error.service,
                code=error.code.name,
                cause=error.error.details(),
            )
        case ServiceFailed() | ServiceError():
            pass
        case _:
            _log.error("request_failed", exc_info=error)
