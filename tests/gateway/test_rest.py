"""The REST API by annotation, over real HTTP."""

import asyncio

import grpc
import pytest

from gateway.errors import HTTP_STATUS
from tests.gateway.world import OPERATOR, TECHNICIAN, World, eventually, key

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(module_world: World) -> World:
    module_world.forget()
    return module_world


CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
async def test_every_code_has_its_status_and_says_what_the_service_said(
    world: World, code: grpc.StatusCode
) -> None:
    answer = await world.http.get(f"/v1/tickets/code-{code.name}", headers=key())
    assert answer.status_code == HTTP_STATUS[code]
    body = answer.json()
    details = body.pop("details")
    assert body == {
        "code": code.name,
        "reason": f"BECAUSE_{code.name}",
        "message": f"ended with {code.name}",
        "request_id": answer.headers["x-request-id"],
    }
    retry = {"retry_after_seconds": 1} if answer.status_code in {429, 503, 504} else {}
    assert details == {
        "domain": "history.dossier",
        "metadata": {"why": "asked for"},
        "fields": [{"field": "ticket_id", "description": f"ended with {code.name}"}],
        **retry,
    }
    assert ("retry-after" in answer.headers) == bool(retry)
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
async def test_what_grpc_itself_says_stays_inside(world: World, code: grpc.StatusCode) -> None:
    answer = await world.http.get(f"/v1/tickets/bare-{code.name}", headers=key())
    assert answer.status_code == HTTP_STATUS[code]
    assert "secret" not in answer.text
    assert answer.json()["code"] in {code.name, "INTERNAL"}


async def test_a_service_that_is_not_there_is_named(world: World) -> None:
    answer = await world.http.get("/v1/articles", headers=key())
    assert answer.status_code == 503
    assert answer.json()["message"] == "knowledge cannot be reached"
    assert answer.json()["reason"] == "DEPENDENCY_UNAVAILABLE"


async def test_an_answer_has_the_contracts_names_and_its_empty_values(world: World) -> None:
    answer = await world.http.get("/v1/tickets/4711", headers=key())
    assert answer.status_code == 200
    ticket = answer.json()["ticket"]
    assert ticket["id"] == "4711"
    assert ticket["resolution"] == ""
    assert ticket["tags"] == []
    assert "create_time" not in ticket
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_path_may_hold_an_encoded_slash_and_a_rest_with_slashes(world: World) -> None:
    await world.http.get("/v1/tickets/a%2Fb%20c", headers=key())
    assert world.history.heard("GetTicket")[0].ticket_id == "a/b c"
    for path in ("/v1/prefixes/10.20.30.0/24", "/v1/prefixes/10.20.30.0%2F24"):
        assert (await world.http.delete(path, headers=key())).status_code == 200
    assert [each.prefix for each in world.network.heard("DeletePrefix")] == ["10.20.30.0/24"] * 2


async def test_a_path_that_is_no_text_is_told_so(world: World) -> None:
    answer = await world.http.get("/v1/tickets/%FF", headers=key())
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"][0]["field"] == "path"


async def test_query_parameters_fill_the_request(world: World) -> None:
    answer = await world.http.get("/v1/tickets?page_size=7&source=itsm&page_token=", headers=key())
    assert answer.status_code == 200
    [request] = world.history.heard("ListTickets")
    assert (request.page_size, request.source) == (7, "itsm")


async def test_a_verb_with_the_whole_request_as_body(world: World) -> None:
    body = {"subject": "vpn", "exclude": [{"id": "1"}, {"id": "2", "source": "itsm"}], "min_score": 0}
    answer = await world.http.post("/v1/tickets:search", json=body, headers=key())
    assert answer.status_code == 200
    [request] = world.history.heard("SearchSimilarTickets")
    assert [each.id for each in request.exclude] == ["1", "2"]
    assert request.HasField("min_score")
    assert not request.limit


async def test_a_body_that_is_one_field_of_the_request(world: World) -> None:
    body = {"id": "7", "title": "Mail", "create_time": "2026-11-23T09:30:00Z", "tags": ["a"]}
    answer = await world.http.post("/v1/tickets", json=body, headers=key())
    assert answer.json()["ticket"]["create_time"] == "2026-11-23T09:30:00Z"
    assert answer.json()["created"] is True


@pytest.mark.parametrize(
    ("body", "reason", "field", "says"),
    [
        ({"subjekt": "x"}, "FIELD_UNKNOWN", "subjekt", "no such field; there are subject, "),
        ({"exclude": [{"id": "1"}, {"idd": "2"}]}, "FIELD_UNKNOWN", "exclude[1].idd", "no such field"),
        ({"subject": 5}, "FIELD_INVALID", "subject", "must be a string"),
        ({"subject": "x", "limit": "many"}, "FIELD_INVALID", "limit", "must be a whole number"),
        ({"subject": "x", "limit": 2**31}, "FIELD_INVALID", "limit", "whole number from"),
        ({"subject": "x", "limit": True}, "FIELD_INVALID", "limit", "must be a whole number"),
        ({"exclude": {"id": "1"}}, "FIELD_INVALID", "exclude", "must be a list"),
        ({"exclude": ["1"]}, "FIELD_INVALID", "exclude[0]", "must be an object"),
        ({"subject": "x", "limit": 101}, "INVALID_ARGUMENT", "limit", "100"),
        (["subject"], "FIELD_INVALID", "body", "must be an object"),
    ],
)
async def test_a_field_that_is_wrong_is_named_with_the_reason(
    world: World, body: object, reason: str, field: str, says: str
) -> None:
    answer = await world.http.post("/v1/tickets:search", json=body, headers=key())
    assert answer.status_code == 400
    assert answer.json()["reason"] == reason
    [problem] = answer.json()["details"]["fields"]
    assert problem["field"] == field
    assert says in problem["description"]
    assert world.history.heard("SearchSimilarTickets") == []


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        ("pagesize=5", "FIELD_UNKNOWN", "pagesize"),
        ("page_size=five", "FIELD_INVALID", "page_size"),
        ("page_size=1&page_size=2", "FIELD_INVALID", "page_size"),
        ("source=%FF", "FIELD_INVALID", "query"),
        ("page_size", "FIELD_INVALID", "query"),
        ("source.x=1", "FIELD_UNKNOWN", "source.x"),
    ],
)
async def test_a_parameter_that_is_wrong_is_named(world: World, query: str, reason: str, field: str) -> None:
    answer = await world.http.get(f"/v1/tickets?{query}", headers=key())
    assert answer.status_code == 400
    assert answer.json()["reason"] == reason
    assert answer.json()["details"]["fields"][0]["field"] == field
    assert world.history.asked == []


async def test_what_the_path_or_body_carries_is_not_taken_from_the_query(world: World) -> None:
    for answer in (
        await world.http.get("/v1/tickets/1?ticket_id=2", headers=key()),
        await world.http.post("/v1/tickets:search?limit=2", json={"subject": "x"}, headers=key()),
    ):
        assert answer.status_code == 400
        assert "not taken from the query" in answer.json()["message"]


async def test_broken_json_is_told_its_position(world: World) -> None:
    answer = await world.http.post("/v1/tickets:search", content=b'{"subject":\n "x",}', headers=key())
    assert answer.status_code == 400
    assert answer.json()["reason"] == "JSON_MALFORMED"
    assert answer.json()["details"]["metadata"]["line"] == "2"


@pytest.mark.parametrize(
    "body", [b"[" * 15_000, b'{"limit": 1e999}', b'{"limit": ' + b"9" * 5000 + b"}", b"\xff"]
)
async def test_hostile_json_is_only_malformed(world: World, body: bytes) -> None:
    answer = await world.http.post("/v1/tickets:search", content=body, headers=key())
    assert answer.status_code == 400


async def test_a_body_where_none_is_taken_is_refused(world: World) -> None:
    answer = await world.http.request("GET", "/v1/tickets", content=b"{}", headers=key())
    assert answer.status_code == 400


async def test_a_large_body_is_413(world: World) -> None:
    answer = await world.http.post("/v1/tickets:search", content=b" " * 20_001, headers=key())
    assert answer.status_code == 413


async def test_an_unknown_path_and_a_wrong_method(world: World) -> None:
    unknown = await world.http.get("/v2/tickets", headers=key())
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    wrong = await world.http.put("/v1/tickets/5", headers=key())
    assert (wrong.status_code, wrong.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"] == "DELETE, GET, HEAD"
    head = await world.http.head("/v1/tickets/5", headers=key())
    assert (head.status_code, head.content) == (200, b"")


async def test_the_service_learns_the_tenant_and_the_role(world: World) -> None:
    await world.http.post("/v1/tickets:search", json={"subject": "x"}, headers=key(TECHNICIAN))
    [caller] = world.history.callers
    assert (caller.subject, caller.tenant, caller.role) == ("gateway", "acme", "technician")


async def test_a_new_tenant_s_credentials_pass_as_a_map(world: World) -> None:
    body = {
        "tenant": {
            "id": "initech",
            "display_name": "Initech",
            "ticketing": {"tool": "x", "options": {"a": "b"}},
        },
        "ticketing_credentials": {"authtoken": "t"},
    }
    answer = await world.http.post("/v1/tenants", json=body, headers=key(OPERATOR))
    assert answer.status_code == 200
    [request] = world.tenants.heard("CreateTenant")
    assert dict(request.ticketing_credentials) == {"authtoken": "t"}
    assert dict(request.tenant.ticketing.options) == {"a": "b"}


async def test_a_client_that_leaves_cancels_the_call(world: World) -> None:
    reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
    head = "GET /v1/tickets/slow-1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dsk_admin\r\n\r\n"
    writer.write(head.encode())
    await eventually(lambda: bool(world.history.heard("GetTicket")))
    writer.close()
    await asyncio.wait_for(world.history.cancelled.wait(), 10)
    assert await reader.read() == b""


@pytest.mark.parametrize("offered", ["with space", "x" * 129, "ünïcode", ""])
async def test_a_request_id_that_is_no_plain_token_is_replaced(world: World, offered: str) -> None:
    headers = [(b"authorization", b"Bearer dsk_admin"), (b"x-request-id", offered.encode())]
    answer = await world.http.get("/v1/tickets/1", headers=headers)
    assert answer.headers["x-request-id"] not in {offered, ""}
    assert world.history.request_ids == [answer.headers["x-request-id"]]


async def test_a_request_id_goes_all_the_way(world: World) -> None:
    answer = await world.http.get("/v1/tickets/1", headers={**key(), "X-Request-Id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert world.history.request_ids == ["abc-1"]
