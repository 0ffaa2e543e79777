"""Establishes who is calling; health and reflection answer everybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.runtime.caller import enter_call
from services.runtime.errors import CertificateMismatch, TokenMissing
from services.runtime.interceptors.call import Call
from services.runtime.tls import workloads
from services.runtime.tokens import TokenVerifier


class CallerConcern:
    def __init__(self, verifier: TokenVerifier, *, certified: bool) -> None:
        self._verifier = verifier
        self._certified = certified

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if not call.method.infrastructure:
            scheme, _, token = call.metadata.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise TokenMissing("authorization: Bearer <token> is required")
            caller = self._verifier.verify(token)
            if self._certified and caller.subject not in workloads(call.context.auth_context()):
                # Whoever got hold of another's token has not got its certificate.
                raise CertificateMismatch(
                    f"the token is {caller.subject}'s, the client certificate is not",
                    metadata={"subject": caller.subject},
                )
            enter_call(caller)
        yield
