"""The one boundary where exceptions become statuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_status import rpc_status

from services.runtime.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    Internal,
    ServiceError,
    error_info,
    to_status,
)
from services.runtime.interceptors.call import Call
from services.runtime.request_id import current_request_id


class ErrorsConcern:
    """Writes into the call how it ended, and tells the client what it may know of it."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        try:
            yield
        except ServiceError as error:
            await self._abort(call, error, failure=error)
        except grpc.aio.AioRpcError as error:
            await self._abort(call, _of_dependency(error), failure=error)
        except grpc.aio.AbortError:
            # The stock health servicer ends calls itself; the status has been sent.
            call.code = call.context.code()
            raise
        except asyncio.CancelledError:
            # A client that gave up and a deadline that passed look alike here but for the time left.
            ran_out = call.context.time_remaining() == 0
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if ran_out else grpc.StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - nothing unforeseen may reach the client with its text
            await self._abort(call, _internal(), failure=error)
        else:
            call.code = _code(call)

    async def _abort(self, call: Call, error: ServiceError, *, failure: Exception) -> None:
        call.code = error.code
        call.failure = failure
        await call.context.abort_with_status(rpc_status.to_status(to_status(error, domain=self._domain)))


def _internal() -> Internal:
    return Internal(current_request_id() or "")


def _of_dependency(error: grpc.aio.AioRpcError) -> ServiceError:
    """Answer for another service that a handler needed: late and away pass through, the rest is our bug."""
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("a service that this call needs did not answer in time")
        case grpc.StatusCode.UNAVAILABLE:
            info = error_info(error)
            return DependencyUnavailable(info.domain if info else "a service that this call needs")
        case _:
            return _internal()


def _code(call: Call) -> grpc.StatusCode:
    """Read the code a handler set without raising; the stubs do not know that there may be none."""
    code: grpc.StatusCode | None = call.context.code()
    return grpc.StatusCode.OK if code is None else code
