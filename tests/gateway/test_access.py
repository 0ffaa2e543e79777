"""Who may call the REST API."""

import pytest

from dossier.tenants.v1 import tenant_pb2
from tests.gateway.world import ADMIN, OPERATOR, STAFF, TECHNICIAN, VIEWER, World, key, running_world
from tests.support.keys import Keys

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer dsk_unknown"},
        {"Authorization": "Bearer dsk_" + "x" * 300},
        {"Authorization": "Bearer not.a.token"},
        {"X-API-Key": "dsk_unknown"},
        {"X-API-Key": "something"},
    ],
)
async def test_without_good_credentials_it_is_401(world: World, headers: dict[str, str]) -> None:
    answer = await world.http.get("/v1/tickets/1", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert world.history.asked == []


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {ADMIN}"}, {"authorization": f"bearer {ADMIN}"}, {"X-API-Key": ADMIN}],
)
async def test_an_api_key_opens_either_way(world: World, headers: dict[str, str]) -> None:
    assert (await world.http.get("/v1/tickets/1", headers=headers)).status_code == 200


async def test_a_key_is_asked_about_once_in_a_while_known_or_not(keys: Keys) -> None:
    async with running_world(keys) as world:
        for credential in (ADMIN, "dsk_unknown"):
            for _ in range(5):
                await world.http.get("/v1/tickets/1", headers=key(credential))
        asked = [each.api_key for each in world.tenants.heard("AuthenticateApiKey")]
    assert asked == [ADMIN, "dsk_unknown"]


async def test_a_key_that_cannot_be_checked_is_not_called_wrong(keys: Keys) -> None:
    async with running_world(keys) as world:
        world.tenants.lose_database()
        answer = await world.http.get("/v1/tickets/1", headers=key())
    assert answer.status_code == 503


async def test_a_token_for_the_gateway_opens_and_one_for_a_service_does_not(world: World, keys: Keys) -> None:
    ours = keys.mint("gateway", tenant="globex", role="operator", subject="jo")
    answer = await world.http.get("/v1/tickets/1", headers=key(ours))
    assert answer.status_code == 200
    [caller] = world.history.callers
    assert (caller.tenant, caller.role) == ("globex", "operator")
    theirs = keys.mint("history", tenant="globex", role="operator")
    refused = await world.http.get("/v1/tickets/1", headers=key(theirs))
    assert refused.status_code == 401
    assert refused.json()["reason"] == "TOKEN_WRONG_AUDIENCE"
    expired = keys.mint("gateway", ttl_seconds=-60)
    assert (await world.http.get("/v1/tickets/1", headers=key(expired))).json()["reason"] == "TOKEN_EXPIRED"


SEARCH = ("POST", "/v1/tickets:search", {"subject": "x"})
READ = ("GET", "/v1/tickets/1", None)
ENHANCE = ("POST", "/v1/enhancements", {"ticket": {"id": "1"}})
WRITE = ("POST", "/v1/tickets", {"id": "1", "title": "x"})
DELETE = ("DELETE", "/v1/prefixes/10.0.0.0/8", None)
CREATE_TENANT = ("POST", "/v1/tenants", {"tenant": {"id": "a", "display_name": "A"}})
QUEUE = ("GET", "/v1/queue", None)
CONTROLS: list[tuple[str, str, object]] = [
    ("POST", "/v1/enhancements/e-1:cancel", None),
    ("POST", "/v1/enhancements/e-1:retry", None),
    ("POST", "/v1/enhancements/e-1:replay", {"model": "m"}),
    ("POST", "/v1/enhancements:retryFailed", {"dry_run": True}),
]
PAUSE: list[tuple[str, str, object]] = [
    ("POST", "/v1/queue:pause", None),
    ("POST", "/v1/queue:resume", None),
]
SHARE = ("PATCH", "/v1/queue", {"max_in_progress": 8})


@pytest.mark.parametrize(
    ("credential", "may", "may_not"),
    [
        (
            VIEWER,
            [READ, QUEUE],
            [SEARCH, ENHANCE, WRITE, DELETE, CREATE_TENANT, *CONTROLS, *PAUSE, SHARE],
        ),
        (
            TECHNICIAN,
            [READ, QUEUE, SEARCH, ENHANCE, *CONTROLS],
            [WRITE, DELETE, CREATE_TENANT, *PAUSE, SHARE],
        ),
        (
            ADMIN,
            [READ, QUEUE, SEARCH, ENHANCE, WRITE, DELETE, *CONTROLS],
            [CREATE_TENANT, *PAUSE, SHARE],
        ),
        (OPERATOR, [CREATE_TENANT, QUEUE, *CONTROLS, *PAUSE], []),
    ],
)
async def test_each_role_may_what_the_table_says(
    world: World, credential: str, may: list[tuple[str, str, object]], may_not: list[tuple[str, str, object]]
) -> None:
    for method, path, body in may:
        answer = await world.http.request(method, path, json=body, headers=key(credential))
        assert answer.status_code == 200, (path, answer.text)
    for method, path, body in may_not:
        answer = await world.http.request(method, path, json=body, headers=key(credential))
        assert answer.status_code == 403, path
        assert answer.json()["reason"] == "ROLE_REQUIRED"


async def test_an_operator_chooses_a_client_and_nobody_else_does(world: World) -> None:
    for_globex = {"X-Dossier-Tenant": "globex"}
    assert (await world.http.get("/v1/tickets/1", headers={**key(OPERATOR), **for_globex})).status_code == 200
    assert world.history.callers[-1].tenant == "globex"
    answer = await world.http.get("/v1/tickets/1", headers={**key(ADMIN), **for_globex})
    assert answer.status_code == 403
    assert answer.json()["reason"] == "TENANT_FOREIGN"


@pytest.mark.parametrize("state", [tenant_pb2.TENANT_STATE_SUSPENDED, None], ids=["suspended", "gone"])
async def test_a_services_token_is_no_good_for_a_client_that_is_not_served(
    world: World, keys: Keys, state: "tenant_pb2.TenantState.ValueType | None"
) -> None:
    """It was signed before, and lives as long as it says."""
    token = keys.mint("gateway", tenant="acme", role="technician")
    if state is None:
        del world.tenants.states["acme"]
    else:
        world.tenants.states["acme"] = state

    answer = await world.http.get("/v1/enhancements", headers=key(token))

    assert (answer.status_code, answer.json()["reason"]) == (403, "TENANT_NOT_SERVED")


async def test_a_path_names_the_client_that_staff_act_for(world: World) -> None:
    world.tenants.states["acme"] = tenant_pb2.TENANT_STATE_ACTIVE

    found = await world.http.get("/v1/tenants/acme", headers=key(STAFF))
    acted = world.tenants.callers[-1]
    unknown = await world.http.get("/v1/tenants/nobody", headers=key(STAFF))
    others = await world.http.get("/v1/tenants/acme", headers={**key(STAFF), "X-Dossier-Tenant": "globex"})

    assert found.status_code == 200
    assert (acted.tenant, acted.role) == ("acme", "viewer")
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "TENANT_NOT_FOUND")
    assert others.status_code == 200
    assert world.tenants.callers[-1].tenant == "globex"


async def test_an_operator_asks_about_a_client_without_acting_for_it(world: World) -> None:
    assert (await world.http.get("/v1/tenants/acme", headers=key(OPERATOR))).status_code == 200
    assert world.tenants.callers[-1].tenant is None


async def test_a_key_of_one_client_acts_for_that_whatever_the_path_says(world: World) -> None:
    await world.http.get("/v1/tenants/globex", headers=key(VIEWER))
    assert world.tenants.callers[-1].tenant == "acme"


@pytest.mark.parametrize("credential", [VIEWER, STAFF, OPERATOR])
async def test_everybody_may_ask_which_clients_there_are_to_see(world: World, credential: str) -> None:
    assert (await world.http.get("/v1/tenants", headers=key(credential))).status_code == 200
