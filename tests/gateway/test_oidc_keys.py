"""The identity provider's keys: read, kept, read anew, and never asked for more often than is due."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.oidc.keys import usable_keys
from tests.gateway.sign_on import outcome, read, signing_on
from tests.gateway.world import ADMIN, eventually
from tests.support.identity_provider import IdentityProvider, SigningKey, running_provider, signing_key
from tests.support.keys import Keys

AT_ONCE = {"oidc_refetch_seconds": 0.05}
AT_LENGTH = {"oidc_refetch_seconds": 60}


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with running_provider() as provider:
        yield provider


async def test_keys_are_read_once_for_many_tokens(keys: Keys, provider: IdentityProvider) -> None:
    async with signing_on(keys, provider) as world:
        answers = await asyncio.gather(*(read(world, provider.token()) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert provider.reads == 1


async def test_a_new_key_counts_at_once_and_one_that_is_gone_no_more(
    keys: Keys, provider: IdentityProvider
) -> None:
    async with signing_on(keys, provider, oidc_keys_seconds=300, **AT_ONCE) as world:
        old = provider.token()
        assert outcome(await read(world, old)) == (200, "")

        provider.publish(signing_key("ES256"))
        await asyncio.sleep(AT_ONCE["oidc_refetch_seconds"])

        assert outcome(await read(world, provider.token())) == (200, "")
        assert outcome(await read(world, old)) == (401, "TOKEN_INVALID")


async def test_a_key_that_is_taken_back_ends_with_the_next_reading(
    keys: Keys, provider: IdentityProvider
) -> None:
    """Without anybody asking for another."""
    kept, leaked = signing_key(), signing_key("ES256")
    provider.publish(leaked, kept)
    async with signing_on(keys, provider, oidc_keys_seconds=1) as world:
        token = provider.token()
        assert outcome(await read(world, token)) == (200, "")

        provider.publish(kept)
        before = provider.reads
        await eventually(lambda: provider.reads > before)

        assert outcome(await read(world, token)) == (401, "TOKEN_INVALID")
        assert outcome(await read(world, provider.token())) == (200, "")


async def test_a_flood_of_unknown_keys_has_them_read_once_a_pause(
    keys: Keys, provider: IdentityProvider
) -> None:
    pause = 0.4
    async with signing_on(keys, provider, oidc_refetch_seconds=pause, address_failures_per_minute=0) as world:
        assert outcome(await read(world, provider.token())) == (200, "")
        started, reads, sent = time.monotonic(), provider.reads, 0
        while time.monotonic() - started < 3 * pause:
            forged = [signing_key("ES256").sign(provider.claims()) for _ in range(10)]
            answers = await asyncio.gather(*(read(world, token) for token in forged))
            assert {outcome(answer) for answer in answers} == {(401, "TOKEN_INVALID")}
            sent += len(forged)
        elapsed = time.monotonic() - started

    assert sent > 20
    assert 1 <= provider.reads - reads <= elapsed / pause + 1


async def test_unknown_keys_count_as_guesses_and_a_blocked_address_has_nothing_read(
    keys: Keys, provider: IdentityProvider
) -> None:
    async with signing_on(keys, provider, address_failures_per_minute=3, **AT_ONCE) as world:
        guesses = [await read(world, signing_key("ES256").sign(provider.claims())) for _ in range(3)]
        assert [answer.status_code for answer in guesses] == [401] * 3
        await asyncio.sleep(2 * AT_ONCE["oidc_refetch_seconds"])
        reads = provider.reads

        blocked = await read(world, signing_key("ES256").sign(provider.claims()))

        assert outcome(blocked) == (429, "TOO_MANY_FAILURES")
        assert outcome(await read(world, provider.token(aud="payroll"))) == (429, "TOO_MANY_FAILURES")
        assert provider.reads == reads
        # Who has what it takes is let in all the same.
        assert outcome(await read(world, provider.token())) == (200, "")


async def test_without_the_provider_the_gateway_starts_and_keys_of_ours_work(
    keys: Keys, provider: IdentityProvider
) -> None:
    await provider.stop()
    async with signing_on(keys, provider, oidc_refetch_seconds=0.5) as world:
        assert outcome(await read(world, ADMIN)) == (200, "")
        away = await read(world, provider.token())
        assert outcome(away) == (503, "IDENTITY_PROVIDER_UNAVAILABLE")
        assert int(away.headers["retry-after"]) >= 1

        await provider.start()

        # Nobody has to come for it to be found.
        await eventually(lambda: provider.reads > 0)
        assert outcome(await read(world, provider.token())) == (200, "")


async def test_while_the_provider_is_away_what_it_said_last_counts(
    keys: Keys, provider: IdentityProvider
) -> None:
    async with signing_on(keys, provider, oidc_keys_seconds=1, **AT_ONCE) as world:
        assert outcome(await read(world, provider.token())) == (200, "")

        await provider.stop()
        await asyncio.sleep(1.5)

        assert outcome(await read(world, provider.token())) == (200, "")
        # This one may be good, for all that we know.
        unknown = signing_key("ES256").sign(provider.claims())
        assert outcome(await read(world, unknown)) == (503, "IDENTITY_PROVIDER_UNAVAILABLE")


async def test_a_provider_that_is_away_for_long_is_believed_no_more(
    keys: Keys, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with signing_on(keys, provider, oidc_keys_seconds=1, **AT_ONCE) as world:
        assert outcome(await read(world, provider.token())) == (200, "")

        await provider.stop()
        monkeypatch.setattr("gateway.oidc.keys._BELIEVED_SECONDS", 0.0)
        await asyncio.sleep(1.5)

        assert outcome(await read(world, provider.token())) == (503, "IDENTITY_PROVIDER_UNAVAILABLE")


async def test_a_provider_that_hangs_keeps_no_gateway_from_ending(
    keys: Keys, provider: IdentityProvider
) -> None:
    await provider.stop()

    writers: list[asyncio.StreamWriter] = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    silent = await asyncio.start_server(hang, "127.0.0.1", provider.port)
    async with signing_on(keys, provider) as world:
        assert outcome(await read(world, ADMIN)) == (200, "")
        await eventually(lambda: bool(writers))
        ending = time.monotonic()
    assert time.monotonic() - ending < 4
    silent.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


Spoil = Callable[[IdentityProvider], None]


def describing(**changed: object) -> Spoil:
    return lambda provider: provider.described.update(changed)


def answering(**changed: Any) -> Spoil:
    def spoil(provider: IdentityProvider) -> None:
        for name, value in changed.items():
            setattr(provider, name, value)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        describing(issuer="https://id.example"),
        describing(issuer=None),
        describing(jwks_uri="http://id.example/keys"),
        describing(jwks_uri="file:///etc/passwd"),
        describing(jwks_uri="https://[broken"),
        describing(jwks_uri=None),
        answering(status=500),
        answering(status=302),
        answering(body=b"<html>"),
        answering(body=b"[]"),
        answering(body=b'{"keys": [], "more": "' + b"x" * 600_000 + b'"}'),
    ],
)
async def test_a_provider_that_answers_as_it_should_not_is_not_believed(
    keys: Keys, provider: IdentityProvider, spoil: Spoil
) -> None:
    spoil(provider)
    async with signing_on(keys, provider, **AT_LENGTH) as world:
        assert outcome(await read(world, provider.token())) == (503, "IDENTITY_PROVIDER_UNAVAILABLE")
        assert outcome(await read(world, ADMIN)) == (200, "")


async def test_a_provider_that_has_no_key_has_signed_nothing(keys: Keys, provider: IdentityProvider) -> None:
    token = provider.token()
    provider.jwks = {"keys": []}
    async with signing_on(keys, provider, **AT_LENGTH) as world:
        assert outcome(await read(world, token)) == (401, "TOKEN_INVALID")


RSA, EC = signing_key(), signing_key("ES256")


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (RSA.public_jwk(), {"RS256"}),
        (RSA.public_jwk(alg="RS256"), {"RS256"}),
        (RSA.public_jwk(alg="RS512"), set()),
        (EC.public_jwk(), {"ES256"}),
        (EC.public_jwk(crv="P-384"), set()),
        (RSA.public_jwk(use="enc"), set()),
        (RSA.public_jwk(kid=None), set()),
        (RSA.public_jwk(kty="EC"), set()),
        (RSA.public_jwk(n="AQAB"), set()),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "1", "alg": "HS256"}, set()),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "1", "alg": "RS256"}, set()),
        ({"kid": "1"}, set()),
        ("key", set()),
    ],
)
def test_a_key_is_for_what_it_is_made_for_and_for_what_is_accepted(jwk: Any, algorithms: set[str]) -> None:
    found = usable_keys({"keys": [jwk]}, ("RS256", "ES256"))

    assert {algorithm for _, algorithm in found} == algorithms


def test_a_short_key_is_none() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the point
    short = SigningKey("short", "RS256", private).public_jwk()

    assert usable_keys({"keys": [short]}, ("RS256",)) == {}


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": {"kid": "1"}}])
def test_what_lists_no_keys_has_none(jwks: dict[str, Any]) -> None:
    assert usable_keys(jwks, ("RS256",)) == {}
