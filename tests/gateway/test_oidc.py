"""People who signed on at the operator's identity provider, over real HTTP: who they are, what they may."""

import asyncio
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import httpx
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dossier.orchestrator.v1 import enhancement_pb2
from dossier.tenants.v1 import tenant_pb2
from tests.gateway.sign_on import outcome, read, signing_on
from tests.gateway.world import ADMIN, OPERATOR, World, eventually, key
from tests.support.identity_provider import (
    AUDIENCE,
    IdentityProvider,
    running_provider,
    signing_key,
)
from tests.support.keys import Keys

pytestmark = pytest.mark.asyncio(loop_scope="module")
SKEW = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[IdentityProvider]:
    async with running_provider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_world(keys: Keys, provider: IdentityProvider) -> AsyncIterator[World]:
    settings = {"events_confirm_seconds": 0.05, "secret_cache_seconds": 0, "oidc_refetch_seconds": 60}
    async with signing_on(keys, provider, **settings) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    shared_world.tenants.states = dict.fromkeys(("acme", "globex"), tenant_pb2.TENANT_STATE_ACTIVE)
    shared_world.forget()
    return shared_world


async def test_a_group_gives_a_role_for_its_client_and_the_services_learn_who_it_is(
    world: World, provider: IdentityProvider
) -> None:
    assert outcome(await read(world, provider.token("acme-admins"))) == (200, "")

    [caller] = world.history.callers
    assert (caller.tenant, caller.role, caller.subject) == ("acme", "admin", "gateway")
    assert caller.on_behalf_of == "oidc:8f3a-jo (jo.smith)"


@pytest.mark.parametrize(
    ("username", "known_as"),
    [
        (None, "oidc:8f3a-jo"),
        (["jo"], "oidc:8f3a-jo"),
        ('jo\r\n") via cli, operator', "oidc:8f3a-jo (jo_____via_cli__operator)"),
        ("j" * 500, f"oidc:8f3a-jo ({'j' * 64})"),
        ("zoë.müller@acme", "oidc:8f3a-jo (zoë.müller@acme)"),
    ],
)
async def test_a_name_that_people_may_choose_cannot_forge_a_log(
    world: World, provider: IdentityProvider, username: object, known_as: str
) -> None:
    await read(world, provider.token(preferred_username=username))

    assert world.history.callers[-1].on_behalf_of == known_as


@pytest.mark.parametrize(
    ("groups", "tenant", "expected"),
    [
        (("acme-desk",), None, "technician"),
        (("acme-desk",), "acme", "technician"),
        (("acme-desk",), "globex", "403 TENANT_FOREIGN"),
        (("acme-desk",), "nobody", "403 TENANT_FOREIGN"),
        (("acme-desk", "acme-admins", "unknown"), None, "admin"),
        (("acme-admins", "globex-desk"), "acme", "admin"),
        (("acme-admins", "globex-desk"), "globex", "technician"),
        (("acme-admins", "globex-desk"), "gone", "403 TENANT_FOREIGN"),
        (("acme-admins", "globex-desk"), None, "403 TENANT_REQUIRED"),
        (("msp-staff",), "globex", "operator"),
        (("msp-desk",), "globex", "technician"),
        (("msp-auditors",), "acme", "viewer"),
        (("msp-auditors", "acme-admins"), "acme", "admin"),
        (("msp-auditors", "acme-admins"), "globex", "viewer"),
        (("msp-staff",), "nobody", "404 TENANT_NOT_FOUND"),
        (("msp-staff",), "-", "404 TENANT_NOT_FOUND"),
        (("team-north",), "acme", "technician"),
        (("team-north",), "globex", "viewer"),
        (("team-north", "globex-desk"), "globex", "technician"),
        (("team-north",), "gone", "403 TENANT_FOREIGN"),
        (("team-north",), None, "403 TENANT_REQUIRED"),
        (("gone-desk",), None, "403 TENANT_NOT_SERVED"),
        (("unknown",), None, "403 GROUPS_UNMAPPED"),
        (("unknown",), "acme", "403 GROUPS_UNMAPPED"),
    ],
)
async def test_people_act_for_the_clients_of_their_groups_and_no_others(
    world: World, provider: IdentityProvider, groups: tuple[str, ...], tenant: str | None, expected: str
) -> None:
    answer = await read(world, provider.token(*groups), tenant=tenant)

    if answer.status_code == 200:
        [caller] = world.history.callers
        assert (caller.role, caller.tenant) == (expected, tenant or "acme")
    else:
        assert " ".join(map(str, outcome(answer))) == expected
        assert world.history.asked == []


async def test_who_has_several_clients_is_told_which(world: World, provider: IdentityProvider) -> None:
    answer = await read(world, provider.token("globex-desk", "acme-admins"))

    assert answer.json()["details"]["metadata"] == {"tenants": "acme, globex"}
    assert "X-Dossier-Tenant" in answer.json()["message"]


@pytest.mark.parametrize("groups", ["acme-desk", ["acme-desk"], ["acme-desk", 7, None, {"a": "b"}]])
async def test_groups_come_as_a_list_or_alone(
    world: World, provider: IdentityProvider, groups: object
) -> None:
    assert outcome(await read(world, provider.token(groups=groups))) == (200, "")


@pytest.mark.parametrize("groups", [None, "", [], 7, {"acme-desk": True}, [["acme-desk"]], "acme-desk acme"])
async def test_without_a_group_that_is_known_it_is_403_and_says_why(
    world: World, provider: IdentityProvider, groups: object
) -> None:
    answer = await read(world, provider.token(groups=groups))

    assert outcome(answer) == (403, "GROUPS_UNMAPPED")
    assert answer.json()["details"]["metadata"] == {"claim": "groups"}
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("role", "group", "status"),
    [
        ("viewer", "msp-auditors", 403),
        ("technician", "msp-desk", 200),
        ("operator", "msp-staff", 200),
    ],
)
async def test_staff_may_what_their_role_says(
    world: World, provider: IdentityProvider, role: str, group: str, status: int
) -> None:
    answer = await world.http.post(
        "/v1/enhancements/e-1:cancel",
        headers={**key(provider.token(group)), "X-Dossier-Tenant": "acme"},
    )

    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["details"]["metadata"]["role"] == role


def hs256_with_the_public_key(provider: IdentityProvider) -> str:
    """The confusion of RFC 8725, section 2.1: what anybody knows as if it were a shared secret."""
    secret = provider.signing.private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    head = _part({"alg": "HS256", "typ": "JWT", "kid": provider.signing.id})
    signed = f"{head}.{_part(provider.claims())}"
    return f"{signed}.{_base64url(hmac.new(secret, signed.encode(), sha256).digest())}"


def unsigned(provider: IdentityProvider, algorithm: str) -> str:
    return f"{_part({'alg': algorithm, 'kid': provider.signing.id})}.{_part(provider.claims())}."


def with_a_key_of_its_own(provider: IdentityProvider) -> str:
    """Signed by somebody who sends the key along, under the provider's key's name."""
    own = signing_key("ES256")
    return own.sign(
        provider.claims(), kid=provider.signing.id, jwk=own.public_jwk(), jku=f"{provider.issuer}/keys"
    )


def tampered(provider: IdentityProvider) -> str:
    head, _, signature = provider.token("acme-desk").split(".")
    return f"{head}.{_part(provider.claims(groups=['msp-staff']))}.{signature}"


def _part(content: object) -> str:
    return _base64url(orjson.dumps(content))


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def later(seconds: float) -> int:
    return int(time.time() + seconds)


REFUSED: dict[str, tuple[Callable[[IdentityProvider], str], str]] = {
    "expired": (lambda of: of.token(exp=later(-SKEW - 5)), "TOKEN_EXPIRED"),
    "not yet": (lambda of: of.token(nbf=later(SKEW + 60)), "TOKEN_INVALID"),
    "made in the future": (lambda of: of.token(iat=later(SKEW + 60)), "TOKEN_INVALID"),
    "for ever": (lambda of: of.token(exp=None), "TOKEN_INVALID"),
    "for too long": (lambda of: of.token(exp=later(86_400 + 60)), "TOKEN_INVALID"),
    "another audience": (lambda of: of.token(aud="payroll"), "TOKEN_WRONG_AUDIENCE"),
    "no audience": (lambda of: of.token(aud=None), "TOKEN_INVALID"),
    "another issuer": (lambda of: of.token(iss="https://id.example"), "TOKEN_WRONG_ISSUER"),
    "nearly the issuer": (lambda of: of.token(iss=f"{of.issuer}/"), "TOKEN_WRONG_ISSUER"),
    "our own issuer": (lambda of: of.token(iss="dossier"), "TOKEN_INVALID"),
    "no issuer": (lambda of: of.token(iss=None), "TOKEN_INVALID"),
    "made out to another": (lambda of: of.token(azp="payroll"), "TOKEN_WRONG_PARTY"),
    "many audiences": (lambda of: of.token(aud=[AUDIENCE, "account"]), "TOKEN_WRONG_PARTY"),
    "nobody": (lambda of: of.token(sub=None), "TOKEN_INVALID"),
    "nobody at all": (lambda of: of.token(sub=""), "TOKEN_INVALID"),
    "a strange subject": (lambda of: of.token(sub="jo\nadmin"), "TOKEN_INVALID"),
    "a long subject": (lambda of: of.token(sub="j" * 256), "TOKEN_INVALID"),
    "unsigned": (lambda of: unsigned(of, "none"), "TOKEN_INVALID"),
    "unsigned, in capitals": (lambda of: unsigned(of, "NONE"), "TOKEN_INVALID"),
    "no signature": (lambda of: unsigned(of, "RS256"), "TOKEN_INVALID"),
    "the public key as a secret": (hs256_with_the_public_key, "TOKEN_INVALID"),
    "a key of its own": (with_a_key_of_its_own, "TOKEN_INVALID"),
    "tampered with": (tampered, "TOKEN_INVALID"),
    "an unknown key": (lambda of: signing_key().sign(of.claims()), "TOKEN_INVALID"),
    "too long": (lambda of: of.token(more="x" * 17_000), "TOKEN_INVALID"),
    "nonsense": (lambda _: "eyJ.e30.x", "TOKEN_INVALID"),
}


@pytest.mark.parametrize("how", REFUSED)
async def test_a_token_that_does_not_hold_is_401_and_reaches_nobody(
    world: World, provider: IdentityProvider, how: str
) -> None:
    make, reason = REFUSED[how]

    answer = await read(world, make(provider))

    assert outcome(answer) == (401, reason), answer.text
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="dossier", error="invalid_token", error_description="')
    assert answer.json()["message"] in challenge
    assert world.history.asked == []


async def test_clocks_may_differ_a_little(world: World, provider: IdentityProvider) -> None:
    for claims in ({"exp": later(-SKEW + 10)}, {"nbf": later(SKEW - 10), "iat": later(SKEW - 10)}):
        assert outcome(await read(world, provider.token(**claims))) == (200, "")


async def test_a_token_for_many_that_was_made_out_to_us_counts(
    world: World, provider: IdentityProvider
) -> None:
    token = provider.token(aud=["account", AUDIENCE], azp=AUDIENCE)

    assert outcome(await read(world, token)) == (200, "")


async def test_keys_and_service_tokens_open_as_before(world: World, keys: Keys) -> None:
    assert outcome(await read(world, ADMIN)) == (200, "")
    assert outcome(await read(world, keys.mint("gateway", tenant="globex", role="viewer"))) == (200, "")
    assert outcome(await read(world, keys.mint("history"))) == (401, "TOKEN_WRONG_AUDIENCE")
    assert outcome(await read(world, OPERATOR, tenant="nobody")) == (404, "TENANT_NOT_FOUND")


async def test_without_credentials_no_error_is_named(world: World) -> None:
    answer = await world.http.get("/v1/tickets/1")

    assert answer.headers["www-authenticate"] == 'Bearer realm="dossier"'


async def test_people_of_a_suspended_client_are_refused_and_staff_are_not(
    world: World, provider: IdentityProvider
) -> None:
    world.tenants.states["acme"] = tenant_pb2.TENANT_STATE_SUSPENDED

    assert outcome(await read(world, provider.token("acme-admins"))) == (403, "TENANT_NOT_SERVED")
    assert outcome(await read(world, provider.token("msp-staff"), tenant="acme")) == (200, "")


async def test_who_was_served_is_while_nobody_can_be_asked(world: World, provider: IdentityProvider) -> None:
    assert (await read(world, provider.token("acme-admins"))).status_code == 200
    await world.stop("tenants")
    try:
        answer = await read(world, provider.token("acme-admins"))
    finally:
        await world.start("tenants")
    assert answer.status_code == 200
    await eventually(lambda: not world.gateway.readiness.failing)


EVENTS = "/v1/enhancements/enh-1/events"


async def _last_event(response: httpx.Response) -> tuple[str, dict[str, object]]:
    text = "".join([piece async for piece in response.aiter_text()])
    name, _, data = text.rstrip().rpartition("\n\n")[2].splitlines()
    return name, orjson.loads(data.removeprefix("data: "))


async def _started(world: World) -> None:
    await world.orchestrator.updates.put(enhancement_pb2.ENHANCEMENT_STATE_RUNNING)


async def test_a_stream_ends_when_its_token_does(world: World, provider: IdentityProvider) -> None:
    await _started(world)
    token = provider.token("acme-desk", exp=later(-SKEW + 2))

    async with world.http.stream("GET", EVENTS, headers=key(token), timeout=10) as response:
        assert response.status_code == 200
        name, said = await _last_event(response)

    assert (name, said["reason"]) == ("event: error", "TOKEN_EXPIRED")
    await eventually(lambda: world.orchestrator.watchers == 0)


async def test_a_stream_ends_when_its_client_is_suspended(world: World, provider: IdentityProvider) -> None:
    await _started(world)
    stream = world.http.stream("GET", EVENTS, headers=key(provider.token("acme-desk")), timeout=10)
    async with stream as response:
        ending = asyncio.create_task(_last_event(response))
        await eventually(lambda: world.orchestrator.watchers == 1)
        world.tenants.states["acme"] = tenant_pb2.TENANT_STATE_SUSPENDED
        name, said = await ending

    assert (name, said["reason"]) == ("event: error", "TENANT_NOT_SERVED")
    await eventually(lambda: world.orchestrator.watchers == 0)


async def test_the_document_names_the_provider(world: World, provider: IdentityProvider) -> None:
    document = (await world.http.get("/openapi.json")).json()

    scheme = document["components"]["securitySchemes"]["oidc"]
    assert scheme["type"] == "openIdConnect"
    assert scheme["openIdConnectUrl"] == f"{provider.issuer}/.well-known/openid-configuration"
    assert {"oidc": []} in document["security"]
