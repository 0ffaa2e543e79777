"""Takes over the caller's request id, or begins one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.interceptors.call import Call
from services.runtime.request_id import METADATA_KEY, adopt_request_id


class RequestIdConcern:
    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        adopt_request_id(call.metadata.get(METADATA_KEY))
        yield
