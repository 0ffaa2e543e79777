import os
import stat
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.runtime.caller import Caller
from services.runtime.errors import TokenExpired, TokenInvalid, TokenWrongAudience, Unauthenticated
from services.runtime.tokens import TokenSigner, TokenVerifier, generate_keys
from tests.runtime.harness import eventually


@pytest.fixture
def home(tmp_path: Path) -> Path:
    generate_keys(tmp_path)
    return tmp_path


def mint(home: Path, **changes: Any) -> str:
    wanted = {"audience": "history", "tenant": "acme", "subject": "orchestrator", "role": "service"}
    return TokenSigner(home / "signing.jwk").mint(**{**wanted, **changes})


def forge(home: Path, *, key: Any = "", algorithm: str = "none", **changes: Any) -> str:
    """A token with our claims, signed some other way."""
    claims = jwt.decode(mint(home), options={"verify_signature": False}) | changes
    kid = orjson.loads((home / "signing.jwk").read_bytes())["kid"]
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def refusal(home: Path, token: str) -> type[Unauthenticated]:
    with pytest.raises(Unauthenticated) as caught:
        TokenVerifier(home / "jwks.json", "history").verify(token)
    return type(caught.value)


@pytest.mark.parametrize("tenant", ["acme", None])
def test_a_token_says_who_calls_for_whom(home: Path, tenant: str | None) -> None:
    verifier = TokenVerifier(home / "jwks.json", "history")
    expected = Caller(subject="orchestrator", tenant=tenant, role="service")
    assert verifier.verify(mint(home, tenant=tenant)) == expected


def test_an_expired_token_is_refused(home: Path) -> None:
    assert refusal(home, mint(home, ttl_seconds=-60)) is TokenExpired


async def test_a_verified_token_is_not_remembered_beyond_its_end(home: Path) -> None:
    verifier = TokenVerifier(home / "jwks.json", "history")
    # Within the tolerance for differing clocks, but not for long.
    token = mint(home, ttl_seconds=-4)
    verifier.verify(token)

    def refused() -> bool:
        try:
            verifier.verify(token)
        except TokenExpired:
            return True
        return False

    await eventually(refused)


def test_a_token_for_another_service_is_refused(home: Path) -> None:
    assert refusal(home, mint(home, audience="knowledge")) is TokenWrongAudience


def test_an_unsigned_token_is_refused(home: Path) -> None:
    assert refusal(home, forge(home)) is TokenInvalid


def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(home: Path) -> None:
    jwk = jwt.PyJWK(orjson.loads((home / "jwks.json").read_bytes())["keys"][0], algorithm="EdDSA")
    public: Ed25519PublicKey = jwk.key
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert refusal(home, forge(home, key=raw, algorithm="HS256")) is TokenInvalid


def test_a_token_of_a_stranger_with_our_key_id_is_refused(home: Path, tmp_path: Path) -> None:
    generate_keys(tmp_path / "stranger")
    stranger = jwt.PyJWK.from_json((tmp_path / "stranger" / "signing.jwk").read_text(), algorithm="EdDSA")
    assert refusal(home, forge(home, key=stranger.key, algorithm="EdDSA")) is TokenInvalid


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c", "eyJhbGciOiJFZERTQSJ9.e30.c2ln"])
def test_garbage_is_refused(home: Path, token: str) -> None:
    assert refusal(home, token) is TokenInvalid


@pytest.mark.parametrize("changes", [{"role": "emperor"}, {"tenant": ""}, {"tenant": 7}, {"iss": "somebody"}])
def test_claims_that_are_not_ours_are_refused(home: Path, changes: dict[str, Any]) -> None:
    ours = jwt.PyJWK.from_json((home / "signing.jwk").read_text(), algorithm="EdDSA")
    assert refusal(home, forge(home, key=ours.key, algorithm="EdDSA", **changes)) is TokenInvalid


def test_keys_rotate_without_a_restart(home: Path, tmp_path: Path) -> None:
    verifier = TokenVerifier(home / "jwks.json", "history")
    signer = TokenSigner(home / "signing.jwk")
    old = signer.mint(audience="history", tenant="acme", subject="s", role="service")
    verifier.verify(old)

    generate_keys(tmp_path / "new")
    for name in ("jwks.json", "signing.jwk"):
        os.replace(tmp_path / "new" / name, home / name)  # noqa: PTH105
    new = signer.mint(audience="history", tenant="acme", subject="s", role="service")
    assert verifier.verify(new).tenant == "acme"
    with pytest.raises(TokenInvalid):
        verifier.verify(old)


@pytest.mark.parametrize("broken", [b"", b"{", b"{}", b'{"keys":[{}]}', b'{"keys":7}'])
def test_a_broken_key_file_locks_nobody_out(home: Path, broken: bytes) -> None:
    verifier = TokenVerifier(home / "jwks.json", "history")
    (home / "jwks.json").write_bytes(broken)
    assert verifier.verify(mint(home)).tenant == "acme"


def test_generated_keys_are_private_and_stay(home: Path) -> None:
    signing_key = home / "signing.jwk"
    before = signing_key.read_bytes(), (home / "jwks.json").read_bytes()
    generate_keys(home)
    assert (signing_key.read_bytes(), (home / "jwks.json").read_bytes()) == before
    assert stat.S_IMODE(signing_key.stat().st_mode) == 0o600
    assert b'"d"' not in before[1]


def test_a_token_says_on_whose_behalf(home: Path) -> None:
    verifier = TokenVerifier(home / "jwks.json", "history")

    assert verifier.verify(mint(home)).principal == "orchestrator"
    assert verifier.verify(mint(home, on_behalf_of="key-1")).principal == "key-1"
