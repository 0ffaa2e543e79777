"""Service tokens: short-lived JWTs, signed with Ed25519, for one audience and one tenant."""

import hashlib
import os
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.runtime.caller import ROLES, Caller
from services.runtime.errors import TokenExpired, TokenInvalid, TokenWrongAudience

ISSUER: Final = "dossier"
# The one algorithm: a token that names another (none, HS256 with the public key as secret) is refused unread.
ALGORITHM: Final = "EdDSA"
SIGNING_KEY_FILE: Final = "signing.jwk"
JWKS_FILE: Final = "jwks.json"
_CACHE_MAX: Final = 4096
_CLOCK_SKEW_SECONDS: Final = 5

_log = structlog.get_logger(__name__)


class TokenSigner:
    """Mints tokens; the key file is read again when it changes."""

    def __init__(self, signing_key_file: Path) -> None:
        self._file = _WatchedFile(signing_key_file)
        self._key = self._read()

    def mint(
        self,
        *,
        audience: str,
        tenant: str | None,
        subject: str,
        role: str,
        on_behalf_of: str = "",
        ttl_seconds: int = 300,
    ) -> str:
        """Sign a token that `subject` presents to the service `audience` for work on `tenant`."""
        if self._file.changed():
            self._key = self._read()
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
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key.key_id})

    def _read(self) -> jwt.PyJWK:
        return jwt.PyJWK.from_json(self._file.read().decode(), algorithm=ALGORITHM)


class TokenVerifier:
    """Verifies tokens for one audience.

    Results are kept until the token expires. Keys rotate without a restart: a changed JWKS file is read
    again and forgets every token verified with the old one.
    """

    def __init__(self, jwks_file: Path, audience: str) -> None:
        self._file = _WatchedFile(jwks_file)
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
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                leeway=_CLOCK_SKEW_SECONDS,
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
        match {"on_behalf_of": "", **claims}:
            case {
                "sub": str(subject),
                "role": str(role),
                "tenant": str() | None as tenant,
                "on_behalf_of": str(on_behalf_of),
            } if role in ROLES and tenant != "":
                return float(claims["exp"]), Caller(
                    subject=subject, tenant=tenant, role=role, on_behalf_of=on_behalf_of
                )
        raise TokenInvalid("the token's claims are not ours")

    def _reload(self) -> None:
        try:
            self._keys = self._read()
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            # A half-written or missing file must not lock everybody out: the keys that worked go on working.
            _log.warning("token_keys_unreadable", cause=type(error).__name__)
            return
        self._verified.clear()

    def _read(self) -> dict[str, jwt.PyJWK]:
        keys = orjson.loads(self._file.read())["keys"]
        return {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in keys}


class _WatchedFile:
    """A file that is replaced from outside; its inode counts, since Kubernetes swaps a link."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def changed(self) -> bool:
        try:
            return self._version() != self._seen
        except FileNotFoundError:
            return False

    def read(self) -> bytes:
        # The version is taken first: a write in between is then noticed next time.
        self._seen = self._version()
        return self._path.read_bytes()

    def _version(self) -> tuple[int, int]:
        stat = os.stat(self._path)  # noqa: PTH116 - on every call; a Path method costs twice as much
        return stat.st_mtime_ns, stat.st_ino


def generate_keys(directory: Path) -> None:
    """Write `signing.jwk` (readable by its owner only) and the `jwks.json` that verifies it, where absent."""
    directory.mkdir(parents=True, exist_ok=True)
    signing_file = directory / SIGNING_KEY_FILE
    if not signing_file.exists():
        descriptor = os.open(signing_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(_new_signing_key()))
    jwks_file = directory / JWKS_FILE
    if not jwks_file.exists():
        private = orjson.loads(signing_file.read_bytes())
        public = {name: value for name, value in private.items() if name != "d"}
        jwks_file.write_bytes(orjson.dumps({"keys": [public]}))


def _new_signing_key() -> dict[str, str]:
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
