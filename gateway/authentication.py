"""Who calls the REST API: by an API key, a service token meant for the gateway, or a person's token."""

from hashlib import sha256
from typing import Final

import grpc
import jwt
from grpc import StatusCode
from starlette.types import Scope

from dossier.tenants.v1 import api_key_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from gateway.asgi import header
from gateway.cache import BriefCache
from gateway.client_limits import ClientLimits
from gateway.errors import ServiceFailed
from gateway.identity import Identity
from gateway.mesh import SUBJECT, asked
from gateway.oidc.people import People
from services.runtime.caller import Caller, acting_for
from services.runtime.errors import TokenInvalid, Unauthenticated
from services.runtime.tokens import ISSUER, TokenVerifier

KEY_PREFIX: Final = "dsk_"
_KEY_MOST: Final = 256
_TOKEN_MOST: Final = 16 * 1024
"""Some providers write hundreds of groups into one."""
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


class Authenticator:
    def __init__(
        self,
        tenants: grpc.aio.Channel,
        verifier: TokenVerifier,
        people: People | None,
        limits: ClientLimits,
        *,
        seconds: float,
    ) -> None:
        self._stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        self._verifier = verifier
        self._people = people
        self._limits = limits
        self._callers = BriefCache(self._ask, known=bool, seconds=seconds)

    async def identify(self, scope: Scope, *, known_only: bool) -> Identity:
        """Say whose the credentials are; `known_only` asks nobody about such as are not known here yet."""
        scheme, _, bearer = (header(scope, b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and bearer:
            credential = bearer.strip()
            if not credential.startswith(KEY_PREFIX):
                return await self._of_token(credential, known_only=known_only)
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
        return Identity.of(caller, vouched=True)

    async def _of_token(self, token: str, *, known_only: bool) -> Identity:
        if len(token) > _TOKEN_MOST:
            raise TokenInvalid(f"the token is over {_TOKEN_MOST} bytes")
        issuer = _claimed_issuer(token) if self._people is not None else None
        if self._people is None or issuer is None or issuer == ISSUER:
            # Signed by whoever holds a key of the mesh's, about a client that may be suspended or gone since.
            return Identity.of(self._verifier.verify(token), vouched=False)
        return await self._people.identify(token, claimed_issuer=issuer, known_only=known_only)

    def forget(self, tenant: str | None) -> None:
        """Believe nothing any more of keys of the tenant, or of all, or that may have become the tenant's."""
        self._callers.forget(lambda _, caller: tenant is None or caller is None or caller.tenant == tenant)

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


def _claimed_issuer(token: str) -> str | None:
    """Tell by whom it is to be checked, that is all: nothing of the token is believed yet."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return None
    return issuer if isinstance(issuer, str) else None
