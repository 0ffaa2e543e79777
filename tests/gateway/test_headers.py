"""Headers that say what a field of the request says, too."""

from uuid import UUID

import pytest

from tests.gateway.world import World, key

pytestmark = pytest.mark.asyncio(loop_scope="module")

ACME = "/v1/tenants/acme"
CHANGE = {"tenant": {"display_name": "A"}, "update_mask": "display_name"}


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


@pytest.mark.parametrize(
    ("body", "if_match", "heard"),
    [
        ({}, None, ""),
        ({}, "*", ""),
        ({}, '"7"', "7"),
        ({}, 'W/"7"', "7"),
        ({}, "7", "7"),
        ({"etag": "7"}, None, "7"),
        ({"etag": "7"}, '"7"', "7"),
        ({"tenant": {"etag": "7"}}, '"7"', "7"),
    ],
)
async def test_an_etag_may_be_given_as_a_header(
    world: World, body: dict[str, object], if_match: str | None, heard: str
) -> None:
    headers = {**key(), **({"If-Match": if_match} if if_match else {})}

    answer = await world.http.patch(ACME, json={**CHANGE, **body}, headers=headers)

    assert answer.status_code == 200, answer.text
    assert [each.etag for each in world.tenants.heard("UpdateTenant")] == [heard]
    assert answer.headers["etag"] == '"8"'


@pytest.mark.parametrize(
    ("body", "field"), [({"etag": "6"}, "etag"), ({"tenant": {"etag": "6"}}, "tenant.etag")]
)
async def test_etags_that_contradict_each_other_are_both_named(
    world: World, body: dict[str, object], field: str
) -> None:
    answer = await world.http.patch(ACME, json={**CHANGE, **body}, headers={**key(), "If-Match": '"7"'})

    assert answer.status_code == 400
    [told] = answer.json()["details"]["fields"]
    assert told["field"] == field
    assert "'6'" in told["description"]
    assert "If-Match says '7'" in told["description"]
    assert world.tenants.heard("UpdateTenant") == []


@pytest.mark.parametrize("values", [['"7", "8"'], ['"7"', '"7"'], ['""'], ['"7']])
async def test_what_is_not_one_etag_is_refused(world: World, values: list[str]) -> None:
    headers = [(b"authorization", b"Bearer dsk_admin"), *((b"if-match", each.encode()) for each in values)]

    answer = await world.http.patch(ACME, json=CHANGE, headers=headers)

    assert (answer.status_code, answer.json()["details"]["fields"][0]["field"]) == (400, "If-Match")
    assert world.tenants.heard("UpdateTenant") == []


async def test_where_no_etag_counts_one_is_not_passed_over(world: World) -> None:
    headers = {**key("dsk_operator"), "If-Match": '"7"'}

    refused = await world.http.post(f"{ACME}:suspend", headers=headers)
    read = await world.http.get(ACME, headers=headers)

    assert (refused.status_code, refused.json()["details"]["fields"][0]["field"]) == (400, "If-Match")
    assert world.tenants.heard("SuspendTenant") == []
    assert read.status_code == 200


@pytest.mark.parametrize("path", [f"{ACME}:suspend", "/v1/tickets:import"])
async def test_an_etag_that_does_not_count_is_refused_with_the_next_step(world: World, path: str) -> None:
    answer = await world.http.post(path, headers={**key("dsk_operator"), "If-Match": '"7"'})

    assert (answer.status_code, answer.json()["reason"]) == (400, "FIELD_INVALID")
    [told] = answer.json()["details"]["fields"]
    assert told == {
        "field": "If-Match",
        "description": "If-Match: is not looked at here, so nothing is done; leave it out",
    }
    assert not world.tenants.heard("SuspendTenant")
    assert not world.history.heard("ImportTickets")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", ACME, None),
        ("POST", "/v1/tickets:search", {"subject": "VPN"}),
        ("POST", f"{ACME}:suspend", {}),
        ("POST", "/v1/tickets:import", None),
    ],
)
async def test_what_may_be_repeated_as_it_is_takes_an_idempotency_key(
    world: World, method: str, path: str, body: dict[str, str] | None
) -> None:
    headers = {**key("dsk_operator" if path.startswith(ACME) else "dsk_admin"), "Idempotency-Key": "order-66"}

    answer = await world.http.request(method, path, json=body, headers=headers)

    assert answer.status_code == 200, answer.text


NEW_KEY = {"role": "ROLE_VIEWER"}


async def test_a_request_id_is_made_up_where_none_is_given(world: World) -> None:
    for _ in range(2):
        answer = await world.http.post(f"{ACME}/apiKeys", json=NEW_KEY, headers=key())
        assert answer.status_code == 200, answer.text

    one, other = (each.request_id for each in world.tenants.heard("CreateApiKey"))
    assert UUID(one) != UUID(other)


async def test_an_idempotency_key_is_the_request_id(world: World) -> None:
    for value in ("order-66", '"order-66"'):
        await world.http.post(f"{ACME}/apiKeys", json=NEW_KEY, headers={**key(), "Idempotency-Key": value})

    assert [each.request_id for each in world.tenants.heard("CreateApiKey")] == ["order-66"] * 2


async def test_a_request_id_that_contradicts_the_header_is_refused(world: World) -> None:
    body, headers = {**NEW_KEY, "request_id": "one"}, {**key(), "Idempotency-Key": "other"}

    answer = await world.http.post(f"{ACME}/apiKeys", json=body, headers=headers)

    assert answer.status_code == 400
    [told] = answer.json()["details"]["fields"]
    assert (told["field"], "'one'" in told["description"], "'other'" in told["description"]) == (
        "request_id",
        True,
        True,
    )
    assert world.tenants.heard("CreateApiKey") == []


@pytest.mark.parametrize("role", ["ROLE_OPERATOR", "ROLE_BOSS", 2, 99])
async def test_a_role_that_cannot_be_given_is_told_those_that_can(world: World, role: object) -> None:
    answer = await world.http.post(f"{ACME}/apiKeys", json={"role": role}, headers=key())

    assert answer.status_code == 400
    [told] = answer.json()["details"]["fields"]
    assert told["description"].endswith("must be one of ROLE_ADMIN, ROLE_TECHNICIAN, ROLE_VIEWER")


async def test_a_role_that_is_missing_is_told_the_same(world: World) -> None:
    answer = await world.http.post(f"{ACME}/apiKeys", json={}, headers=key())

    assert answer.status_code == 400
    [told] = answer.json()["details"]["fields"]
    assert (told["field"], told["description"]) == (
        "role",
        "must be one of ROLE_ADMIN, ROLE_TECHNICIAN, ROLE_VIEWER",
    )
