"""One line per finished call; the cause of our own failures, once."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from grpc import StatusCode
from grpc.aio import AioRpcError

from services.runtime.errors import ServiceError
from services.runtime.interceptors.call import Call

_OUR_BUGS = frozenset({StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS})
_OUR_TROUBLE = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED})

_log = structlog.get_logger(__name__)


class LogConcern:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        try:
            yield
        finally:
            _write(call)


def _write(call: Call) -> None:
    fields: dict[str, object] = {
        "method": call.method.path,
        "code": call.code.name,
        "duration_ms": round((time.perf_counter() - call.started) * 1000, 2),
    }
    failure = call.failure
    cause: BaseException | None = failure
    if isinstance(failure, ServiceError):
        fields["reason"] = failure.reason
        cause = failure.__cause__
    if cause is not None and call.code not in _OUR_BUGS:
        fields["cause"] = _told(cause)
    if call.code in _OUR_BUGS:
        _log.error("call_failed", exc_info=failure, **fields)
    elif call.code in _OUR_TROUBLE:
        _log.warning("call_finished", **fields)
    elif call.method.infrastructure:
        _log.debug("call_finished", **fields)
    else:
        _log.info("call_finished", **fields)


def _told(cause: BaseException) -> str:
    if isinstance(cause, AioRpcError):
        return f"{cause.code().name}: {cause.details()}"
    return f"{type(cause).__name__}: {cause}"
