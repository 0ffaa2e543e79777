"""Service tokens: short-lived JWTs, signed with Ed25519, for one audience and one tenant."""

import hashlib
import math
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.runtime.caller import ROLES, Caller
from services.runtime.errors import TokenExpired, TokenInvalid, TokenWrongAudience
from services.runtime.watched import WatchedFiles

ISSUER: Final = "dossier"
# The one algorithm: a token that names another (none, HS256 with the public key as secret) is refused unread.
ALGORITHM: Final = "EdDSA"
SIGNING_KEY_FILE: Final = "signing.jwk"
JWKS_FILE: Final = "jwks.json"
_CACHE_MAX: Final = 4096
# A half-written or missing file must not lock everybody out: the keys that worked go on working.
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError)
CLOCK_SKEW_SECONDS: Final = 5
TOKEN_SECONDS: Final = 300
"""How long a token between services lives."""

_log = structlog.get_logger(__name__)


class TokenSigner:
    """Mints tokens; the key file is read again when it changes."""

    def __init__(self, signing_key_file: Path) -> None:
        self._file = WatchedFiles(signing_key_file)
        self._key = self._read()

    def mint(
        self,
        *,
        audience: str,
        tenant: str | None,
        subject: str,
        role: str,
        on_behalf_of: str = "",
        ttl_seconds: int = TOKEN_SECONDS,
    ) -> str:
        """Sign a token that `subject` presents to the service `audience` for work on `tenant`."""
        key = self._current()
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": subject,
            "tenant": tenant,
            "role": role,
            "on_behalf_of": on_behalf_of,
            "iat": now,
            "exp": now + ttl_seconds,
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key.key_id})

    @property
    def key_id(self) -> str:
        """The key that signs at this moment."""
        return str(self._current().key_id)

    def _current(self) -> jwt.PyJWK:
        if self._file.changed():
            try:
                self._key = self._read()
            except _UNREADABLE as error:
                _log.warning("token_signing_key_unreadable", cause=type(error).__name__)
        return self._key

    def _read(self) -> jwt.PyJWK:
        (content,) = self._file.read()
        return jwt.PyJWK.from_json(content.decode(), algorithm=ALGORITHM)


class TokenVerifier:
    """Verifies tokens for one audience.

    Results are kept until the token expires. Keys rotate without a restart: a changed JWKS file is read
    again and forgets every token verified with the old one. A key with an `exp` is good for nothing from then
    on, so that a rotation ends by itself wherever its last file has come.
    """

    def __init__(self, jwks_file: Path, audience: str) -> None:
        self._file = WatchedFiles(jwks_file)
        self._audience = audience
        self._keys = self._read()
        self._verified: dict[str, tuple[float, Caller]] = {}

    def verify(self, token: str) -> Caller:
        if self._file.changed():
            self._reload()
        known = self._verified.get(token)
        if known is not None and time.time() < known[0]:
            return known[1]
        expires, caller = self._decode(token)
        if len(self._verified) >= _CACHE_MAX:
            self._verified.clear()
        self._verified[token] = (expires, caller)
        return caller

    def _decode(self, token: str) -> tuple[float, Caller]:
        try:
            key, retires = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise TokenWrongAudience(
                f"the token is not for {self._audience}", metadata={"audience": self._audience}
            ) from None
        except (jwt.PyJWTError, KeyError, TypeError):
            raise TokenInvalid("the token is not valid") from None
        if time.time() >= retires:
            raise TokenInvalid("the key that signed the token is retired")
        match {"on_behalf_of": "", **claims}:
            case {
                "sub": str(subject),
                "role": str(role),
                "tenant": str() | None as tenant,
                "on_behalf_of": str(on_behalf_of),
            } if role in ROLES and tenant != "":
                return min(claims["exp"], retires), Caller(
                    subject=subject, tenant=tenant, role=role, on_behalf_of=on_behalf_of
                )
        raise TokenInvalid("the token's claims are not ours")

    def _reload(self) -> None:
        try:
            self._keys = self._read()
        except _UNREADABLE as error:
            _log.warning("token_keys_unreadable", cause=type(error).__name__)
            return
        self._verified.clear()

    def _read(self) -> dict[str, tuple[jwt.PyJWK, float]]:
        (content,) = self._file.read()
        keys = orjson.loads(content)["keys"]
        return {
            key["kid"]: (jwt.PyJWK(key, algorithm=ALGORITHM), float(key.get("exp", math.inf))) for key in keys
        }


def generate_keys(directory: Path) -> None:
    """Write `signing.jwk` (readable by its owner only) and the `jwks.json` that verifies it, where absent."""
    directory.mkdir(parents=True, exist_ok=True)
    signing_file = directory / SIGNING_KEY_FILE
    if not signing_file.exists():
        descriptor = os.open(signing_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(new_signing_key()))
    jwks_file = directory / JWKS_FILE
    if not jwks_file.exists():
        public = public_half(orjson.loads(signing_file.read_bytes()))
        jwks_file.write_bytes(orjson.dumps({"keys": [public]}))


def public_half(signing_key: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in signing_key.items() if name != "d"}


def new_signing_key() -> dict[str, str]:
    """Make a private JWK for Ed25519, named by its thumbprint."""
    key = Ed25519PrivateKey.generate()
    x = _base64url(key.public_key().public_bytes_raw())
    # RFC 7638: the thumbprint is over the required members only, in this order.
    thumbprint = hashlib.sha256(orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": x})).digest()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": x,
        "d": _base64url(key.private_bytes_raw()),
        "kid": _base64url(thumbprint),
        "use": "sig",
        "alg": ALGORITHM,
    }


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
