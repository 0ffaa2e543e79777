"""Who calls the REST API: an API key, or a service token meant for the gateway."""

from dataclasses import replace
from hashlib import sha256
from typing import Final

import grpc
from grpc import StatusCode
from starlette.types import Scope

from dossier.tenants.v1 import api_key_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from gateway.asgi import header
from gateway.cache import BriefCache
from gateway.client_limits import ClientLimits
from gateway.errors import ServiceFailed
from gateway.mesh import SUBJECT, asked
from services.runtime.caller import Caller, acting_for
from services.runtime.errors import PermissionDenied, Unauthenticated
from services.runtime.tokens import TokenVerifier

KEY_PREFIX: Final = "dsk_"
TENANT_HEADER: Final = "x-dossier-tenant"
_KEY_MOST: Final = 256
_SECONDS: Final = 5.0

_ROLES: Final = {
    api_key_pb2.ROLE_ADMIN: "admin",
    api_key_pb2.ROLE_OPERATOR: "operator",
    api_key_pb2.ROLE_TECHNICIAN: "technician",
    api_key_pb2.ROLE_VIEWER: "viewer",
}


class CredentialsMissing(Unauthenticated):
    reason = "CREDENTIALS_MISSING"


class ApiKeyInvalid(Unauthenticated):
    reason = "API_KEY_INVALID"


class TenantForeign(PermissionDenied):
    """Only who belongs to no client may choose one."""

    reason = "TENANT_FOREIGN"


class Authenticator:
    def __init__(
        self, tenants: grpc.aio.Channel, verifier: TokenVerifier, limits: ClientLimits, *, seconds: float
    ) -> None:
        self._stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        self._verifier = verifier
        self._limits = limits
        self._callers = BriefCache(self._ask, known=bool, seconds=seconds)

    async def holder(self, scope: Scope, *, known_only: bool) -> Caller:
        """Say whose the credentials are; `known_only` asks the tenants service about keys it knew last."""
        scheme, _, bearer = (header(scope, b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and bearer:
            credential = bearer.strip()
            if not credential.startswith(KEY_PREFIX):
                return self._verifier.verify(credential)
        else:
            credential = header(scope, b"x-api-key") or ""
        if not credential:
            raise CredentialsMissing("send an API key: `Authorization: Bearer dsk_…`")
        if not credential.startswith(KEY_PREFIX) or len(credential) > _KEY_MOST:
            raise ApiKeyInvalid("this is not an API key")
        key = _Key(credential)
        known = not known_only or self._callers.last(key) is not None
        caller = await self._callers.get(key) if known else None
        if caller is None:
            raise ApiKeyInvalid("the API key is unknown, revoked or expired")
        return caller

    async def _ask(self, key: "_Key") -> Caller | None:
        request = tenant_service_pb2.AuthenticateApiKeyRequest(api_key=key.reveal())
        try:
            with acting_for(None, subject=SUBJECT):
                answer = await asked("tenants", self._stub.AuthenticateApiKey(request, timeout=_SECONDS))
        except ServiceFailed as error:
            if error.code in {StatusCode.UNAUTHENTICATED, StatusCode.INVALID_ARGUMENT}:
                return None
            raise
        if answer.tenant_id:
            self._limits.learn(answer.tenant_id, answer.limits)
        return Caller(subject=answer.key_id, tenant=answer.tenant_id or None, role=_ROLES[answer.role])


class _Key:
    """Known in the cache by its hash only, so that the cache holds no key longer than the asking takes."""

    __slots__ = ("_digest", "_key")

    def __init__(self, key: str) -> None:
        self._key = key
        self._digest = sha256(key.encode()).digest()

    def reveal(self) -> str:
        """Give the key once."""
        key, self._key = self._key, ""
        return key

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._digest == other._digest


def for_tenant(caller: Caller, scope: Scope) -> Caller:
    """Let who belongs to no client choose one, by a header."""
    wanted = header(scope, TENANT_HEADER.encode())
    if wanted is None or wanted == caller.tenant:
        return caller
    if caller.tenant is not None or caller.role not in {"operator", "service"}:
        raise TenantForeign("the credentials are for another client", metadata={"tenant": wanted})
    return replace(caller, tenant=wanted)
