"""A client's stream of a service, as fast as the service takes it."""

import asyncio
from contextlib import suppress
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from grpc import StatusCode

from gateway.errors import ClientGone, ServiceFailed
from gateway.mesh import asked
from services.runtime.errors import ServiceError


class ServiceStalled(ServiceError):
    code = StatusCode.DEADLINE_EXCEEDED
    reason = "IMPORT_STALLED"

    def __init__(self, service: str, seconds: float) -> None:
        super().__init__(
            f"{service} has taken no rows for {seconds:g} s; what it took stays, send all of it again",
            metadata={"dependency": service},
        )


class ImportCall:
    def __init__(
        self, service: str, call: "grpc.aio.StreamUnaryCall[Any, Any]", *, stall_seconds: float
    ) -> None:
        self._service = service
        self._call = call
        self._stall_seconds = stall_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """What was sent is taken, whatever ended the import on the sender's side."""
        try:
            if isinstance(error, ServiceError | ClientGone) and not isinstance(error, ServiceStalled):
                with suppress(ServiceFailed, ServiceStalled):
                    await self.finish()
        finally:
            self._call.cancel()

    async def send(self, message: Message) -> None:
        """Return when there is room for more; raises what ended the call, where it has ended."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._call.write(message)
        except TimeoutError:
            raise ServiceStalled(self._service, self._stall_seconds) from None
        except asyncio.InvalidStateError:
            await self._outcome()
            raise

    async def finish(self) -> Message:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._call.done_writing()
                return await self._outcome()
        except TimeoutError:
            raise ServiceStalled(self._service, self._stall_seconds) from None

    async def _outcome(self) -> Message:
        response: Message = await asked(self._service, self._call)
        return response
