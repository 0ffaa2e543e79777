"""An OpenID provider on loopback: discovery and keys over real HTTP, and tokens as they are signed there."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "dossier-api"


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    algorithm: str
    private: Any

    def public_jwk(self, **more: object) -> dict[str, Any]:
        kind = RSAAlgorithm if self.algorithm.startswith("RS") else ECAlgorithm
        jwk: dict[str, Any] = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.id, "use": "sig", **more}

    def sign(self, claims: Mapping[str, object], **header: object) -> str:
        return jwt.encode(
            dict(claims), self.private, algorithm=self.algorithm, headers={"kid": self.id, **header}
        )


def signing_key(kind: Literal["RS256", "ES256"] = "RS256") -> SigningKey:
    """Make one; it takes a while for RSA, where the key itself may be another's."""
    private = _rsa_key() if kind == "RS256" else ec.generate_private_key(ec.SECP256R1())
    return SigningKey(str(uuid4()), kind, private)


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(slots=True)
class IdentityProvider:
    """`described` and `jwks` are what it answers; tests may spoil both."""

    port: int = 0
    signing: SigningKey = field(default_factory=signing_key)
    described: dict[str, Any] = field(default_factory=dict)
    jwks: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    """In place of the keys, where it is set."""
    status: int = 200
    reads: int = 0
    """How often its keys were asked for."""
    _runner: web.AppRunner | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/msp"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/realms/msp/.well-known/openid-configuration", self._describe)
        app.router.add_get("/realms/msp/keys", self._list_keys)
        app.router.add_get("/elsewhere", self._list_keys)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.described = self.described or {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def publish(self, *keys: SigningKey) -> None:
        """Let these be its keys, the first of them what it signs with."""
        self.signing = keys[0]
        self.jwks = {"keys": [key.public_jwk() for key in keys]}

    def claims(self, **changed: object) -> dict[str, object]:
        """What it says of somebody; a claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "8f3a-jo",
            "preferred_username": "jo.smith",
            "groups": ["acme-admins"],
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *groups: str, **changed: object) -> str:
        """Sign one on, as a member of these groups."""
        more = {"groups": list(groups)} if groups else {}
        return self.signing.sign(self.claims(**more, **changed))

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.json_response(self.described, status=self.status)

    async def _list_keys(self, _request: web.Request) -> web.Response:
        self.reads += 1
        if self.status in {301, 302, 307}:
            return web.Response(status=self.status, headers={"location": "/elsewhere"})
        if self.body is not None:
            return web.Response(body=self.body)
        return web.json_response(self.jwks, status=self.status)


@asynccontextmanager
async def running_provider() -> AsyncIterator[IdentityProvider]:
    provider = IdentityProvider()
    provider.publish(provider.signing)
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()
