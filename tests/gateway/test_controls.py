"""The controls of runs and of the queue over REST: custom verbs, and operators' view of all clients."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from dossier.orchestrator.v1.queue_pb2 import QUEUE_WEIGHT_PREMIUM
from tests.gateway.world import OPERATOR, World, key
from tests.support.keys import Keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOR_ACME = {"X-Dossier-Tenant": "acme"}


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


@pytest.mark.parametrize(
    ("method", "path", "body", "rpc", "request_"),
    [
        ("POST", "/v1/enhancements/e-1:cancel", {}, "CancelEnhancement", {"enhancement_id": "e-1"}),
        ("POST", "/v1/enhancements/e-1:cancel", None, "CancelEnhancement", {"enhancement_id": "e-1"}),
        ("POST", "/v1/enhancements/e-1:retry", {}, "RetryEnhancement", {"enhancement_id": "e-1"}),
        (
            "POST",
            "/v1/enhancements/e-1:replay",
            {"model": "m-2", "instructions": "Be brief.", "request_id": "r"},
            "ReplayEnhancement",
            {"enhancement_id": "e-1", "model": "m-2", "instructions": "Be brief.", "request_id": "r"},
        ),
        (
            "POST",
            "/v1/enhancements:retryFailed",
            {"reason": "TOOL_REJECTED", "limit": 5, "dryRun": True},
            "RetryFailedEnhancements",
            {"reason": "TOOL_REJECTED", "limit": 5, "dry_run": True},
        ),
        ("GET", "/v1/queue", None, "GetQueue", {}),
        (
            "PATCH",
            "/v1/queue",
            {"weight": "QUEUE_WEIGHT_PREMIUM", "max_in_progress": 0},
            "UpdateQueue",
            {"weight": "QUEUE_WEIGHT_PREMIUM", "max_in_progress": 0},
        ),
        ("POST", "/v1/queue:pause", None, "PauseQueue", {}),
        ("POST", "/v1/queue:resume", {}, "ResumeQueue", {}),
    ],
)
async def test_a_control_reaches_its_rpc_with_what_path_and_body_say(
    world: World, *, method: str, path: str, body: object, rpc: str, request_: dict[str, Any]
) -> None:
    answer = await world.http.request(method, path, json=body, headers={**key(OPERATOR), **FOR_ACME})

    assert answer.status_code == 200, answer.text
    [(asked, request)] = world.orchestrator.asked
    assert asked == rpc
    assert MessageToDict(request, preserving_proto_field_name=True) == request_
    [caller] = world.orchestrator.callers
    assert (caller.tenant, caller.role) == ("acme", "operator")


async def test_what_is_left_out_of_a_share_stays_as_it_is(world: World) -> None:
    body = {"weight": "QUEUE_WEIGHT_PREMIUM"}

    await world.http.patch("/v1/queue", json=body, headers={**key(OPERATOR), **FOR_ACME})

    [request] = world.orchestrator.heard("UpdateQueue")
    assert request.weight == QUEUE_WEIGHT_PREMIUM
    assert not request.HasField("max_in_progress")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/enhancements:retryFailed", {"limit": 1001}, "limit"),
        ("/v1/enhancements/e-1:replay", {"instructions": "x" * 16_385}, "instructions"),
        ("/v1/enhancements/e-1:cancel", {"why": "x"}, "why"),
        ("/v1/queue:pause", {"tenant": "acme"}, "tenant"),
    ],
)
async def test_what_a_control_does_not_take_is_named(
    world: World, path: str, body: object, field: str
) -> None:
    answer = await world.http.post(path, json=body, headers={**key(OPERATOR), **FOR_ACME})

    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == field
    assert world.orchestrator.asked == []


async def test_an_unknown_verb_is_no_route(world: World) -> None:
    for path in ("/v1/queue:drain", "/v1/enhancements:retry"):
        answer = await world.http.post(path, headers=key(OPERATOR))
        assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND")


async def test_an_operators_key_or_token_without_a_client_is_about_all_of_them(
    world: World, keys: Keys
) -> None:
    token = keys.mint("gateway", tenant=None, role="operator", subject="jo")

    for credential in (OPERATOR, token):
        for method, path in (("GET", "/v1/queue"), ("POST", "/v1/queue:pause"), ("POST", "/v1/queue:resume")):
            answer = await world.http.request(method, path, headers=key(credential))
            assert answer.status_code == 200, answer.text
            caller = world.orchestrator.callers[-1]
            assert (caller.tenant, caller.role) == (None, "operator")


async def test_what_is_one_clients_tells_an_operator_how_to_name_it(world: World) -> None:
    answer = await world.http.patch("/v1/queue", json={"max_in_progress": 8}, headers=key(OPERATOR))

    assert answer.status_code == 403
    assert answer.json()["reason"] == "TENANT_REQUIRED"
    assert "X-Dossier-Tenant" in answer.json()["message"]


async def test_an_empty_queue_says_so_in_numbers(world: World) -> None:
    answer = await world.http.get("/v1/queue", headers=key())

    queue = answer.json()["queue"]
    assert (queue["waiting"], queue["failed"], queue["delayed"], queue["paused"]) == ("3", "1", "0", False)
    assert "oldest_age" not in queue


async def test_the_documentation_describes_every_control_with_its_role(world: World) -> None:
    paths = (await world.http.get("/openapi.json")).json()["paths"]

    described = {
        path: operation["description"].rpartition("`")[0].rpartition("`")[2]
        for path in paths
        for method, operation in paths[path].items()
        if (path.startswith("/v1/queue") or ":" in path) and operation["tags"] == ["orchestrator"]
        if method != "get"
    }
    assert described == {
        "/v1/enhancements/{enhancement_id}:cancel": "technician",
        "/v1/enhancements/{enhancement_id}:retry": "technician",
        "/v1/enhancements/{enhancement_id}:replay": "technician",
        "/v1/enhancements:retryFailed": "technician",
        "/v1/queue": "operator",
        "/v1/queue:pause": "operator",
        "/v1/queue:resume": "operator",
    }
