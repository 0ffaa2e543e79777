"""How the tenants service says no."""

from collections.abc import Awaitable
from dataclasses import dataclass

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from services.runtime.errors import error_info, status_of


@dataclass(frozen=True, slots=True)
class Failure:
    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    message: str
    fields: list[str]


async def failure_of(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    info = error_info(raised.value)
    assert info is not None
    assert info.domain == "tenants.dossier"
    message = raised.value.details() or ""
    return Failure(raised.value.code(), info.reason, dict(info.metadata), message, _fields(raised.value))


def _fields(error: grpc.aio.AioRpcError) -> list[str]:
    status = status_of(error)
    request = error_details_pb2.BadRequest()
    return [
        violation.field
        for detail in (status.details if status is not None else ())
        if detail.Unpack(request)
        for violation in request.field_violations
    ]
