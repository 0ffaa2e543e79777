"""What answers at the tool's address may be anything."""

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cli.standins.loopback import listening
from egress.connection import Connection
from tests.support.leaks import CANARY
from ticketing.errors import PermissionMissing, ToolError, ToolRejected, ToolUnavailable
from ticketing.servicedesk_plus import ServiceDeskPlus

TOOL = ServiceDeskPlus()
KEY = f"{CANARY}-key"
SUCCESS = {"status_code": 2000, "status": "success"}
BOMB = gzip.compress(b" " * 50_000_000)


@asynccontextmanager
async def tool(answer: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[Connection]:
    routes = [Route("/{rest:path}", answer, methods=["GET", "POST"])]
    async with listening(Starlette(routes=routes)) as base_url:
        yield Connection(base_url, {"authtoken": KEY})


def always(response: Response) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return response

    return answer


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (HTMLResponse("<h1>Bad gateway</h1>", 502), ToolUnavailable, "HTTP 502"),
        (HTMLResponse("<h1>Not found</h1>", 404), ToolRejected, "base_url and portal"),
        (HTMLResponse("<h1>Who are you</h1>", 401), ToolRejected, "authtoken"),
        (HTMLResponse("<h1>No</h1>", 403), PermissionMissing, "role"),
        (Response(b""), ToolUnavailable, "cut short"),
        (Response(b"\xff\xfe\x00"), ToolUnavailable, "cut short"),
        (Response(b"not gzip", headers={"content-encoding": "gzip"}), ToolUnavailable, "wrongly encoded"),
        (Response(BOMB, headers={"content-encoding": "gzip"}), ToolRejected, "larger"),
        (JSONResponse([]), ToolRejected, "not one of the v3 API"),
        (JSONResponse({"response_status": SUCCESS}), ToolRejected, "request: Field required"),
        (JSONResponse({"response_status": SUCCESS, "request": {"id": "../x"}}), ToolRejected, r"request\.id"),
        (JSONResponse({"response_status": {"status": "failed"}}), ToolRejected, "HTTP 200"),
        (JSONResponse({"response_status": "broken", "request": 5}), ToolRejected, "response_status"),
    ],
)
async def test_an_odd_answer_is_told_as_what_it_means(
    http: ClientSession, response: Response, error: type[ToolError], says: str
) -> None:
    async with tool(always(response)) as connection:
        with pytest.raises(error, match=says) as failed:
            await TOOL.read_ticket(http, connection, "1")
    assert type(failed.value) is error


async def test_a_tool_that_repeats_the_key_does_not_bring_it_into_an_error(http: ClientSession) -> None:
    said = {"message": f"bad value {KEY} {'x' * 500}", "field": "status"}
    refused = {"response_status": {"status_code": 4001, "status": "failed", "messages": [said]}}
    async with tool(always(JSONResponse(refused, 400))) as connection:
        with pytest.raises(ToolRejected, match="4001") as failed:
            await TOOL.read_ticket(http, connection, "1")
    assert KEY not in str(failed.value)
    assert len(str(failed.value)) < 300


async def test_a_redirect_does_not_carry_the_key_elsewhere(http: ClientSession) -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(status_code=302, headers={"location": "/elsewhere"})

    async with tool(answer) as connection:
        with pytest.raises(ToolRejected):
            await TOOL.read_ticket(http, connection, "1")
    assert asked == ["/api/v3/requests/1"]


async def test_a_session_the_tool_opens_for_one_tenant_is_not_used_for_the_next(
    http: ClientSession,
) -> None:
    cookies: list[str | None] = []

    async def answer(asked: Request) -> Response:
        cookies.append(asked.headers.get("cookie"))
        body = {"response_status": SUCCESS, "request": {"id": "1"}}
        return JSONResponse(body, headers={"set-cookie": "JSESSIONID=first-tenant; Path=/"})

    async with tool(answer) as connection:
        for _ in range(2):
            await TOOL.read_ticket(http, connection, "1")
    assert cookies == [None, None]


async def test_a_list_that_never_ends_is_left(http: ClientSession) -> None:
    more = {"response_status": [SUCCESS], "list_info": {"has_more_rows": True}, "notes": [], "requests": []}
    async with tool(always(JSONResponse(more))) as connection:
        assert await TOOL.find_note(http, connection, "1", marker="m") is None


async def test_a_note_whose_row_has_no_text_is_read_by_itself(http: ClientSession) -> None:
    async def answer(asked: Request) -> Response:
        if asked.url.path.endswith("/notes"):
            return JSONResponse({"response_status": [SUCCESS], "notes": [{"id": "4"}]})
        return JSONResponse(
            {"response_status": SUCCESS, "note": {"id": "4", "description": "<i>Dossier 9</i>"}}
        )

    async with tool(answer) as connection:
        found = await TOOL.find_note(http, connection, "1", marker="Dossier 9")
    assert found is not None
    assert found.id == "4"
