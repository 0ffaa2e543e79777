"""The keys that an identity provider signs with, as it last told them.

They are read at the start and every few minutes, and out of turn when a token names one that we do not know,
but never twice within the pause: tokens are sent by anybody, and must not make us hammer the provider. While
it is away, what it told last goes on to count for a day.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt
import orjson
import structlog
from aiohttp import ClientError, ClientSession
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from grpc import StatusCode

from egress.replies import TooLarge, whole_body
from gateway.oidc.settings import is_confidential
from gateway.telemetry import oidc_key_reads
from services.runtime.errors import ServiceError

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_MOST_BYTES: Final = 512 * 1024
_MOST_KEYS: Final = 100
# Who keeps us from the provider would keep a key in use that it has taken back.
_BELIEVED_SECONDS: Final = 86_400.0
_LEAST_RSA_BITS: Final = 2048
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}

KeyName = tuple[str, str]
"""The key's id, and the algorithm that it is used with."""

_log = structlog.get_logger(__name__)


class IssuerUnavailable(ServiceError):
    """Nobody can say whether the token is good."""

    code = StatusCode.UNAVAILABLE
    reason = "IDENTITY_PROVIDER_UNAVAILABLE"


class _Unusable(Exception):
    """The provider answers, and not as it should."""


class IssuerKeys:
    def __init__(
        self,
        session: ClientSession,
        issuer: str,
        algorithms: Collection[str],
        *,
        keep_seconds: float,
        pause_seconds: float,
    ) -> None:
        self._session = session
        self._issuer = issuer
        self._algorithms = algorithms
        self._keep_seconds = keep_seconds
        self._pause_seconds = pause_seconds
        self._keys: Mapping[KeyName, jwt.PyJWK] = {}
        self._told: bool | None = None
        """Whether the provider answered when it was last asked; None before the first time."""
        self._asked_at = float("-inf")
        self._told_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Read them again and again, as long as the gateway runs."""
        while True:
            left = self._asked_at + self._turn_seconds() - time.monotonic()
            if left > 0:
                # Somebody may have had them read meanwhile.
                await asyncio.sleep(left)
            else:
                await self._read()

    async def find(self, key_id: str, algorithm: str, *, may_ask: bool) -> jwt.PyJWK | None:
        """None is what the provider does not name; raises `IssuerUnavailable` where it cannot be asked."""
        name = (key_id, algorithm)
        if self._keys and time.monotonic() - self._told_at > _BELIEVED_SECONDS:
            self._keys = {}
        if name not in self._keys and may_ask and (self._asking is not None or self._paused_enough()):
            await self._read()
        if name in self._keys:
            return self._keys[name]
        if not self._told and may_ask:
            raise IssuerUnavailable(
                "the identity provider does not answer, so that the token cannot be checked",
                retry_after_seconds=self._pause_seconds,
            )
        return None

    async def close(self) -> None:
        """Wait for nobody any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _paused_enough(self) -> bool:
        return time.monotonic() - self._asked_at >= self._pause_seconds

    def _turn_seconds(self) -> float:
        return self._keep_seconds if self._told else self._pause_seconds

    async def _read(self) -> None:
        """One reading at a time, which all wait for who come meanwhile."""
        if self._asking is None:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._read_now())
        await asyncio.shield(self._asking)

    async def _read_now(self) -> None:
        try:
            self._keys = await self._current()
            self._told_at = time.monotonic()
        except (ClientError, TimeoutError, _Unusable) as problem:
            oidc_key_reads.labels("failed").inc()
            if self._told is not False:
                _log.warning("oidc_keys_unavailable", issuer=self._issuer, cause=_said(problem))
            self._told = False
        else:
            oidc_key_reads.labels("read").inc()
            if not self._told:
                _log.info("oidc_keys_read", issuer=self._issuer, keys=len(self._keys))
            self._told = True
        finally:
            self._asking = None

    async def _current(self) -> Mapping[KeyName, jwt.PyJWK]:
        described = await self._get(self._issuer.rstrip("/") + _WELL_KNOWN)
        if described.get("issuer") != self._issuer:
            raise _Unusable(f"it calls itself {described.get('issuer')!r:.200}")
        address = described.get("jwks_uri")
        if not isinstance(address, str) or not is_confidential(address):
            raise _Unusable(f"its jwks_uri {address!r:.200} is no https:// address")
        return usable_keys(await self._get(address), self._algorithms)

    async def _get(self, url: str) -> dict[str, Any]:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        async with self._session.get(url, allow_redirects=False, headers=headers) as answer:
            if answer.status != 200:
                raise _Unusable(f"{url} answers {answer.status}")
            try:
                body = await whole_body(answer, most_bytes=_MOST_BYTES)
            except TooLarge:
                raise _Unusable(f"{url} answers with more than {_MOST_BYTES} bytes") from None
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise _Unusable(f"{url} does not answer with JSON") from None
        if not isinstance(content, dict):
            raise _Unusable(f"{url} does not answer with an object")
        return content


def usable_keys(jwks: Mapping[str, Any], algorithms: Collection[str]) -> Mapping[KeyName, jwt.PyJWK]:
    """Each key, once for every accepted algorithm that it can be for: many providers do not say for which.

    What we cannot use, such as keys for encryption, is left out. A secret that is shared is no key here.
    """
    listed = jwks.get("keys")
    usable = {}
    for each in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        match each:
            case {"kid": str(key_id), "kty": str()} if each.get("use", "sig") == "sig":
                for algorithm in algorithms:
                    if _is_for(each, algorithm) and (key := _key(each, algorithm)) is not None:
                        usable[key_id, algorithm] = key
    return usable


def _is_for(jwk: Mapping[str, Any], algorithm: str) -> bool:
    if jwk.get("alg", algorithm) != algorithm:
        return False
    curve = _CURVES.get(algorithm)
    return jwk["kty"] == "RSA" if curve is None else jwk.get("crv") == curve


def _key(jwk: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, KeyError, TypeError):
        return None
    weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS
    return None if weak else key


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
