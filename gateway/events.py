"""Server-sent events: an enhancement as it goes on, until it has ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeAlias

import grpc
import orjson
from grpc import StatusCode
from starlette.types import Receive, Scope, Send

from dossier.orchestrator.v1.orchestrator_service_pb2 import WatchEnhancementRequest, WatchEnhancementResponse
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from gateway.admission import Admission
from gateway.asgi import gone, read_body
from gateway.errors import ServiceFailed, problem_of
from gateway.mesh import SUBJECT
from gateway.roles import READS, require
from gateway.telemetry import event_streams
from gateway.transcode.routes import to_json
from services.runtime.caller import acting_for
from services.runtime.errors import ServiceError
from services.runtime.request_id import current_request_id

PATH: Final = "/v1/enhancements/{enhancement_id}/events"

_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # Proxies that gather answers would hold the events back.
    (b"x-accel-buffering", b"no"),
]
_HEARTBEAT: Final = b": still here\n\n"

Updates: TypeAlias = "grpc.aio.UnaryStreamCall[WatchEnhancementRequest, WatchEnhancementResponse]"


class Events:
    """The endpoint. `draining` ends the streams, so that their clients come back to another replica."""

    def __init__(
        self,
        orchestrator: grpc.aio.Channel,
        callers: Admission,
        *,
        draining: asyncio.Event,
        heartbeat_seconds: float,
        confirm_seconds: float,
        seconds: float,
        body_seconds: float,
    ) -> None:
        self._stub = OrchestratorServiceStub(orchestrator)
        self._callers = callers
        self._draining = draining
        self._heartbeat_seconds = heartbeat_seconds
        self._confirm_seconds = confirm_seconds
        self._seconds = seconds
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.caller(scope)
        require(READS, caller)
        await read_body(scope, receive, limit=0, seconds=self._body_seconds)
        request = WatchEnhancementRequest(enhancement_id=scope["path_params"]["enhancement_id"])
        acting = acting_for(caller.tenant, subject=SUBJECT, role=caller.role, on_behalf_of=caller.principal)
        with acting, event_streams.track_inprogress():
            call = self._stub.WatchEnhancement(request, timeout=self._seconds)
            try:
                await self._send_all(call, scope, receive, send)
            finally:
                call.cancel()

    async def _send_all(self, call: Updates, scope: Scope, receive: Receive, send: Send) -> None:
        # Until the first update has come, a failure is an ordinary answer with a status of its own.
        update = await _next(call)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async with aclosing(self._chunks(call, update, scope, receive)) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _chunks(
        self, call: Updates, update: WatchEnhancementResponse | None, scope: Scope, receive: Receive
    ) -> AsyncGenerator[bytes, None]:
        refused = asyncio.create_task(self._until_refused(scope))
        stopping: list[asyncio.Task[object]] = [
            asyncio.create_task(gone(receive)),
            asyncio.create_task(self._draining.wait()),
        ]
        running: list[asyncio.Task[object]] = [*stopping, refused]
        number = 0
        try:
            while update is not None:
                number += 1
                yield _event("enhancement", to_json(update.enhancement), number)
                following = asyncio.create_task(_next(call))
                running.append(following)
                while not following.done() or refused.done():
                    await asyncio.wait(
                        running, timeout=self._heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                    if any(each.done() for each in stopping):
                        return
                    if refused.done():
                        raise refused.result()
                    if not following.done():
                        yield _HEARTBEAT
                running.remove(following)
                update = following.result()
            yield _event("end", {}, number + 1)
        except (ServiceFailed, ServiceError) as error:
            # At the end of its time the client comes again, which is what it does without being told.
            if not (isinstance(error, ServiceFailed) and error.code is StatusCode.DEADLINE_EXCEEDED):
                request_id = current_request_id() or ""
                yield _event("error", problem_of(error, request_id).body(request_id), number + 1)
        finally:
            for each in running:
                each.cancel()

    async def _until_refused(self, scope: Scope) -> ServiceError:
        """End when what the stream was asked for with is no good: revoked, expired, its client suspended."""
        while True:
            await asyncio.sleep(self._confirm_seconds)
            try:
                await self._callers.confirm(scope)
            except ServiceError as error:
                return error


async def _next(call: Updates) -> WatchEnhancementResponse | None:
    try:
        update = await call.read()
    except grpc.aio.AioRpcError as error:
        raise ServiceFailed("orchestrator", error) from error
    return update if isinstance(update, WatchEnhancementResponse) else None


def _event(name: str, data: object, number: int) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), number, orjson.dumps(data))
