"""Establishes who is calling; health and reflection answer everybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.caller import enter_call
from services.runtime.errors import TokenMissing
from services.runtime.interceptors.call import Call
from services.runtime.tokens import TokenVerifier


class CallerConcern:
    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if not call.method.infrastructure:
            scheme, _, token = call.metadata.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise TokenMissing("authorization: Bearer <token> is required")
            enter_call(self._verifier.verify(token))
        yield
