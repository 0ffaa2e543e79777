"""Everything that is kept of a client, as an archive that is passed on while it is made."""

import asyncio
from collections.abc import Coroutine
from typing import Final

import grpc
from starlette.types import Message, Receive, Scope, Send

from dossier.tenants.v1.tenant_service_pb2 import ExportTenantRequest, ExportTenantResponse
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from gateway.admission import Admission
from gateway.asgi import read_body, unless_gone
from gateway.errors import ClientGone, ServiceFailed
from gateway.mesh import SUBJECT
from gateway.roles import WRITES, require
from services.runtime.caller import acting_for
from services.runtime.errors import ServiceError, TokenExpired

PATH: Final = "/v1/tenants/{tenant_id}/export"

_SECONDS: Final = 3600.0
_UNTAKEN_SECONDS: Final = 600.0
_HEADERS: Final = [
    (b"content-type", b"application/zip"),
    (b"content-disposition", b'attachment; filename="export.zip"'),
    (b"cache-control", b"no-store"),
]


class Exports:
    """The endpoint."""

    def __init__(
        self, tenants: grpc.aio.Channel, callers: Admission, *, confirm_seconds: float, body_seconds: float
    ) -> None:
        self._stub = TenantServiceStub(tenants)
        self._callers = callers
        self._confirm_seconds = confirm_seconds
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._callers.caller(scope)
        require(WRITES, caller)
        await read_body(scope, receive, limit=0, seconds=self._body_seconds)
        request = ExportTenantRequest(tenant_id=scope["path_params"]["tenant_id"])
        with acting_for(caller.tenant, subject=SUBJECT, role=caller.role, on_behalf_of=caller.principal):
            call = self._stub.ExportTenant(request, timeout=_SECONDS)
        try:
            await self._while_good(scope, unless_gone(receive, _pass_on(call, _timed(send))))
        finally:
            call.cancel()

    async def _while_good(self, scope: Scope, passing_on: Coroutine[object, object, object]) -> None:
        """Cut it off when what it was asked for with is revoked, or its client suspended."""
        passing, looking = asyncio.create_task(passing_on), asyncio.create_task(self._until_refused(scope))
        try:
            await asyncio.wait({passing, looking}, return_when=asyncio.FIRST_COMPLETED)
            if not passing.done():
                raise looking.result()
            passing.result()
        finally:
            passing.cancel()
            looking.cancel()

    async def _until_refused(self, scope: Scope) -> ServiceError:
        while True:
            await asyncio.sleep(self._confirm_seconds)
            try:
                await self._callers.confirm(scope)
            except TokenExpired:
                # It was good when the request came, and is nothing that can be revoked.
                continue
            except ServiceError as error:
                return error


async def _pass_on(
    call: "grpc.aio.UnaryStreamCall[ExportTenantRequest, ExportTenantResponse]", send: Send
) -> None:
    # Until the first part has come, a failure is an ordinary answer; later it cuts the connection.
    part = await _next(call)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    while part is not None:
        await send({"type": "http.response.body", "body": part.archive, "more_body": True})
        part = await _next(call)
    await send({"type": "http.response.body", "body": b""})


def _timed(send: Send) -> Send:
    """Who does not read on is as good as gone: an export holds a place, and a snapshot in every service."""

    async def timed(message: Message) -> None:
        try:
            async with asyncio.timeout(_UNTAKEN_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientGone from None

    return timed


async def _next(
    call: "grpc.aio.UnaryStreamCall[ExportTenantRequest, ExportTenantResponse]",
) -> ExportTenantResponse | None:
    try:
        part = await call.read()
    except grpc.aio.AioRpcError as error:
        raise ServiceFailed("tenants", error) from error
    return part if isinstance(part, ExportTenantResponse) else None
