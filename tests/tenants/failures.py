"""How the tenants service says no."""

from collections.abc import Awaitable
from dataclasses import dataclass

import grpc
import pytest

from services.runtime.errors import error_info


@dataclass(frozen=True, slots=True)
class Failure:
    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    message: str


async def failure_of(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    info = error_info(raised.value)
    assert info is not None
    assert info.domain == "tenants.dossier"
    return Failure(raised.value.code(), info.reason, dict(info.metadata), raised.value.details() or "")
