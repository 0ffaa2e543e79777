"""Every route of the REST API's own document, asked with borealis's API keys about what is aster's."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx
import pytest

from gateway.mesh import CONTRACTS
from gateway.openapi.comments import packaged_comments
from gateway.openapi.document import openapi_document
from gateway.transcode.bindings import bindings
from tests.isolation.belongings import Belongings, steady
from tests.isolation.calls import name_of
from tests.isolation.cases import CASES
from tests.isolation.filling import ROLES, TOOL, Client
from tests.isolation.sent import Sent, imported, transcoded
from tests.isolation.world import World

ALIAS: Final = "servicedesk"
ANONYMOUS: Final = "no key"


ByHand = Callable[[Belongings, Client], Sequence[Sent]]
"""Requests about these things, as made by that client."""


def webhook(of: Belongings, by: Client) -> Sequence[Sent]:
    """Signed with a secret that is good, for another address."""
    bodies = (
        json.dumps({"event": event, "ticket_id": of.reported, "subject": "Foreign"}).encode()
        for event in ("ticket_created", "ticket_updated", "ticket_closed")
    )
    return [
        Sent("POST", f"/webhooks/{of.tenant}/{TOOL}", body, by.signed(body)) for body in (*bodies, b"{", b"")
    ]


def aliased_webhook(of: Belongings, by: Client) -> Sequence[Sent]:
    body = json.dumps(
        {"event": "ticket_created", "tenant_id": of.tenant, "ticket_id": of.reported, "subject": "Foreign"}
    ).encode()
    return [Sent("POST", f"/webhook/{ALIAS}", each, by.signed(each)) for each in (body, body[:-1])]


BY_HAND: Final[Mapping[str, ByHand]] = {
    "POST /webhooks/{tenant}/{tool}": webhook,
    "POST /webhook/{alias}": aliased_webhook,
    "GET /v1/enhancements/{enhancement_id}/events": lambda of, _: [
        Sent("GET", f"/v1/enhancements/{each}/events") for each in (of.enhancement, of.waiting)
    ],
    "GET /v1/tenants/{tenant_id}/export": lambda of, _: [Sent("GET", f"/v1/tenants/{of.tenant}/export")],
    "GET /healthz": lambda _of, _: [Sent("GET", "/healthz")],
    "GET /readyz": lambda _of, _: [Sent("GET", "/readyz")],
    "GET /openapi.json": lambda _of, _: [Sent("GET", "/openapi.json")],
}
"""The routes that are no RPC's; the others' requests are those of their RPC's case."""

OF_RPCS: Final = {f"{each.http_method} {each.template.plain}": each for each in bindings(CONTRACTS)}
NOT_ASKED: Final = {"ROUTE_NOT_FOUND", "FIELD_UNKNOWN", "FIELD_INVALID", "METHOD_NOT_ALLOWED"}
"""By these nothing is shown: the request did not get to what is asked here."""


def documented(document: Mapping[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}


ROUTES: Final = sorted(
    documented(openapi_document(bindings(CONTRACTS), comments=packaged_comments(), aliases=[], public_url=""))
)


def requests(route: str, of: Belongings, by: Client) -> Sequence[Sent]:
    binding = OF_RPCS.get(route)
    if binding is None:
        return BY_HAND[route](of, by)
    messages = CASES[name_of(binding.method)](of)
    if binding.is_import:
        return [imported(binding, messages)]
    return [transcoded(binding, message) for message in messages]


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.gateway_url, timeout=30, trust_env=False) as client:
        yield client


def ask(http: httpx.Client, world: World, sent: Sent, role: str, **headers: str) -> httpx.Response:
    key = {} if role == ANONYMOUS else {"x-api-key": world.borealis.api_keys[role]}
    with http.stream(
        sent.method, sent.path, content=sent.body, headers={**sent.headers, **key, **headers}
    ) as answer:
        if answer.headers["content-type"].startswith("text/event-stream"):
            raise AssertionError(f"{sent.path} is followed")
        answer.read()
    return answer


def told(world: World, answer: httpx.Response) -> tuple[int, Sequence[str], str]:
    """All that an answer tells, but for its own id and for what was asked."""
    own = answer.headers["x-request-id"]
    text = answer.text.replace(own, "<request>")
    hidden = steady(world.nobody.hide_in(world.aster.has.hide_in(text)))
    return answer.status_code, sorted(set(answer.headers) - {"date"}), hidden


def test_every_route_has_a_case_and_every_case_a_route(world: World, http: httpx.Client) -> None:
    served = documented(http.get("/openapi.json").json())
    assert served == set(ROUTES)
    assert served - OF_RPCS.keys() == BY_HAND.keys()


@pytest.mark.parametrize("role", [*ROLES, ANONYMOUS])
@pytest.mark.parametrize("route", ROUTES)
def test_asters_things_are_as_things_that_nobody_has(
    world: World, http: httpx.Client, route: str, role: str
) -> None:
    about_aster = requests(route, world.aster.has, world.borealis)
    about_nobody = requests(route, world.nobody, world.borealis)

    with world.asters_stay_as_they_are():
        answers = [ask(http, world, sent, role) for sent in about_aster]
    if about_aster != about_nobody:
        expected = [ask(http, world, sent, role) for sent in about_nobody]
        assert [told(world, each) for each in answers] == [told(world, each) for each in expected]

    for answer in answers:
        assert answer.status_code < 500, answer.text
        assert answer.status_code == 200 or answer.json()["reason"] not in NOT_ASKED, answer.text
        assert world.aster.has.seen_in(world.aster.has.hide_in(answer.text)) == set()
        assert world.aster.has.seen_in(str(answer.headers)) == set()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", sorted(OF_RPCS))
def test_a_header_makes_no_key_another_clients(
    world: World, http: httpx.Client, route: str, role: str
) -> None:
    """Whether there is a client of the name, or not."""
    (sent, *_) = requests(route, world.aster.has, world.borealis)

    with world.asters_stay_as_they_are():
        answer = ask(http, world, sent, role, **{"x-dossier-tenant": world.aster.has.tenant})

    assert (answer.status_code, answer.json()["reason"]) == (403, "TENANT_FOREIGN"), answer.text
    unknown = ask(http, world, sent, role, **{"x-dossier-tenant": world.nobody.tenant})
    assert told(world, answer) == told(world, unknown)


def test_what_aster_may_follow_is_there_to_be_followed(world: World, http: httpx.Client) -> None:
    """The stream that borealis is refused."""
    path = f"/v1/enhancements/{world.aster.has.enhancement}/events"
    with http.stream("GET", path, headers={"x-api-key": world.aster.api_keys["viewer"]}) as answer:
        first = next(answer.iter_text())
    assert world.aster.has.enhancement in first


def test_asters_webhooks_are_taken_with_its_own_secret(world: World, http: httpx.Client) -> None:
    body = json.dumps({"event": "note_added", "ticket_id": world.aster.has.reported}).encode()
    path = f"/webhooks/{world.aster.has.tenant}/{TOOL}"
    assert http.post(path, content=body, headers=world.aster.signed(body)).status_code == 200
    assert http.post(path, content=body, headers=world.borealis.signed(body)).status_code == 401
