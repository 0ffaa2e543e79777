"""Bad tokens, at every RPC of every service: refused with the documented reason before anything is done."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from cli.ports import SERVICES
from services.runtime.errors import error_info
from services.runtime.tokens import TokenSigner
from tests.isolation.calls import methods, name_of, served_by
from tests.isolation.cases import NOT_SERVED
from tests.support.mesh import Mesh

ROLE: Final = "operator"
SERVED = [
    (service, method)
    for method in methods()
    if method.containing_service.name not in NOT_SERVED
    for service in served_by(method)
]


@dataclass(frozen=True, slots=True)
class Forge:
    """Makes tokens for one service that is right but for what is asked."""

    signing_key: Path
    service: str
    tenant: str

    def good(self, **changes: Any) -> str:
        wanted = {"audience": self.service, "tenant": self.tenant, "subject": "somebody", "role": ROLE}
        return TokenSigner(self.signing_key).mint(**{**wanted, **changes})

    def with_claims(self, *without: str, key: Any = None, algorithm: str = "EdDSA", **changes: Any) -> str:
        claims = jwt.decode(self.good(), options={"verify_signature": False}) | changes
        kept = {name: value for name, value in claims.items() if name not in without}
        return jwt.encode(kept, key or self._key.key, algorithm=algorithm, headers={"kid": self._key.key_id})

    def unsigned(self) -> str:
        claims = jwt.decode(self.good(), options={"verify_signature": False})
        return jwt.encode(claims, "", algorithm="none", headers={"kid": self._key.key_id})

    def shared_secret(self) -> str:
        private: Ed25519PrivateKey = self._key.key
        public: Ed25519PublicKey = private.public_key()
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return self.with_claims(key=raw, algorithm="HS256")

    def tampered(self) -> str:
        head, _, signature = self.good().split(".")
        _, body, _ = self.with_claims(tenant="another").split(".")
        return f"{head}.{body}.{signature}"

    @property
    def _key(self) -> jwt.PyJWK:
        return jwt.PyJWK(orjson.loads(self.signing_key.read_bytes()), algorithm="EdDSA")


BAD: Final[Mapping[str, tuple[str, Callable[[Forge], str | None]]]] = {
    "none": ("TOKEN_MISSING", lambda _: None),
    "another scheme": ("TOKEN_MISSING", lambda forge: f"Basic {forge.good()}"),
    "garbage": ("TOKEN_INVALID", lambda _: "Bearer garbage"),
    "expired": ("TOKEN_EXPIRED", lambda forge: f"Bearer {forge.good(ttl_seconds=-60)}"),
    "not valid yet": (
        "TOKEN_INVALID",
        lambda forge: f"Bearer {forge.with_claims(nbf=int(time.time()) + 60)}",
    ),
    "issued later": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.with_claims(iat=int(time.time()) + 60)}"),
    "another audience": ("TOKEN_WRONG_AUDIENCE", lambda forge: f"Bearer {forge.good(audience='gateway')}"),
    "unsigned": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.unsigned()}"),
    "HS256 with the public key": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.shared_secret()}"),
    "a stranger's": (
        "TOKEN_INVALID",
        lambda forge: f"Bearer {forge.with_claims(key=Ed25519PrivateKey.generate())}",
    ),
    "tampered with": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.tampered()}"),
    "without an end": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.with_claims('exp')}"),
    "without a subject": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.with_claims('sub')}"),
    "without a role": ("TOKEN_INVALID", lambda forge: f"Bearer {forge.with_claims('role')}"),
    "huge": ("TOKEN_INVALID", lambda _: f"Bearer {'x' * 7000}"),
}


@pytest.fixture(scope="module")
def channels(mesh: Mesh) -> Iterator[Mapping[str, grpc.Channel]]:
    opened = {
        name: grpc.insecure_channel(f"localhost:{mesh.record.ports.serving(name)}") for name in SERVICES
    }
    yield opened
    for channel in opened.values():
        channel.close()


@pytest.fixture(scope="module", autouse=True)
def nothing_is_written(mesh: Mesh) -> Iterator[None]:
    before = asyncio.run(mesh.row_counts())
    yield
    assert asyncio.run(mesh.row_counts()) == before


def ask(channel: grpc.Channel, method: MethodDescriptor, authorization: str | None) -> str:
    """Call it with an empty request; the reason of the refusal, or OK."""
    shape = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]
    request = GetMessageClass(method.input_type)()
    call: Any = shape(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = [] if authorization is None else [("authorization", authorization)]
    try:
        answer = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=20)
        if method.server_streaming:
            next(answer)
            answer.cancel()
    except grpc.RpcError as refused:
        error: Any = refused
        info = error_info(error)
        assert info is not None, error
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED or not info.reason.startswith("TOKEN")
        return str(info.reason)
    except StopIteration:
        return "OK"
    return "OK"


@pytest.mark.parametrize(
    ("service", "method"), SERVED, ids=[f"{service}, {name_of(method)}" for service, method in SERVED]
)
def test_every_bad_token_is_refused_at_every_rpc(
    mesh: Mesh, channels: Mapping[str, grpc.Channel], service: str, method: MethodDescriptor
) -> None:
    forge = Forge(mesh.instance.signing_key, service, mesh.tenant)

    said = {kind: ask(channels[service], method, make(forge)) for kind, (_, make) in BAD.items()}

    assert said == {kind: reason for kind, (reason, _) in BAD.items()}


@pytest.mark.parametrize("service", SERVICES)
def test_the_forge_makes_tokens_that_are_good_but_for_what_is_wrong(
    mesh: Mesh, channels: Mapping[str, grpc.Channel], service: str
) -> None:
    """Otherwise the refusals above would show nothing."""
    forge = Forge(mesh.instance.signing_key, service, mesh.tenant)
    method = next(each for serves, each in SERVED if serves == service)
    for token in (forge.good(), forge.with_claims()):
        assert not ask(channels[service], method, f"Bearer {token}").startswith("TOKEN")


def test_there_is_an_rpc_of_every_service() -> None:
    assert {service for service, _ in SERVED} == set(SERVICES)
