"""The stand-in speaks as ServiceDesk Plus is documented and recorded to speak."""

import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.standins.loopback import listening
from cli.standins.servicedesk_plus import NewRequest, ServiceDesk, WebhookTarget, new_requests, running

RECORDED = Path(__file__).parents[1] / "ticketing" / "servicedesk_plus_request.json"
SAMPLE = Path(__file__).parents[2] / "cli" / "sample" / "incidents.jsonl"
SECRET = "webhook-secret"


@asynccontextmanager
async def calling(desk: ServiceDesk, *, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    key = desk.authtoken if key is None else key
    onprem = desk.edition == "onprem"
    headers = {"authtoken": key} if onprem else {"Authorization": f"Zoho-oauthtoken {key}"}
    async with (
        running(desk) as base_url,
        httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as http,
    ):
        yield http


def form(value: object) -> dict[str, str]:
    return {"input_data": json.dumps(value)}


def one_request(**fields: Any) -> ServiceDesk:
    return ServiceDesk([NewRequest(id="5", subject="<b>Printer</b>", description="<p>down</p>")], **fields)


@asynccontextmanager
async def receiver(got: list[tuple[dict[str, str], bytes]]) -> AsyncIterator[str]:
    async def accept(http: Request) -> Response:
        got.append((dict(http.headers), await http.body()))
        return JSONResponse({"id": "e1"}, 202)

    async with listening(Starlette(routes=[Route("/hook", accept, methods=["POST"])])) as base_url:
        yield f"{base_url}/hook"


@pytest.mark.parametrize(("edition", "root"), [("onprem", ""), ("cloud", "/app/itdesk")])
async def test_what_it_says_of_a_request_has_the_shape_of_a_recorded_one(edition: Any, root: str) -> None:
    def shape(value: Any) -> Any:
        return {key: type(inner) for key, inner in value.items()} if isinstance(value, dict) else type(value)

    recorded = json.loads(RECORDED.read_text())
    desk = ServiceDesk(
        [NewRequest(id="5", subject="s", description="d", requester="Ann", priority="High")], edition=edition
    )
    (request,) = desk.requests.values()
    async with calling(desk) as http:
        answer = (await http.get(f"{root}/api/v3/requests/{request.id}")).json()
    assert answer["response_status"] == recorded["response_status"]
    for field in ("id", "display_id", "subject", "description", "created_time", "resolution"):
        assert shape(answer["request"][field]) == shape(recorded["request"][field])
    for field in ("status", "priority"):
        assert shape(answer["request"][field]).items() <= shape(recorded["request"][field]).items()


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("GET", "/requests/99", None, 404, 4007),
        ("GET", "/nowhere", None, 404, 4007),
        ("POST", "/requests/5/notes", None, 400, 4012),
        ("POST", "/requests/5/notes", "not json", 400, 4001),
        ("POST", "/requests/5/notes", {"request_note": {"description": "x"}}, 400, 4001),
        ("POST", "/requests/5/notes", {"note": {"description": ""}}, 400, 4012),
        ("POST", "/requests/5/notes", {"note": {"description": 5}}, 400, 4021),
        ("POST", "/requests", {"request": {"description": "no subject"}}, 400, 4012),
        ("PUT", "/requests/5", {"request": {"status": {"name": "Nonsense"}}}, 400, 4001),
    ],
)
async def test_a_failure_has_the_tools_code(
    method: str, path: str, *, data: object, status: int, code: int
) -> None:
    body = None if data is None else {"input_data": data} if isinstance(data, str) else form(data)
    async with calling(one_request()) as http:
        answer = await http.request(method, f"/api/v3{path}", data=body)
    said = answer.json()["response_status"]
    assert (answer.status_code, said["status_code"], said["status"]) == (status, code, "failed")
    assert said["messages"]


@pytest.mark.parametrize("list_info", [{"row_count": 101}, {"start_index": 0}, {"sort_field": "colour"}])
async def test_a_failure_of_a_list_is_an_array(list_info: object) -> None:
    async with calling(one_request()) as http:
        answer = await http.get("/api/v3/requests", params=form({"list_info": list_info}))
    assert [said["status_code"] for said in answer.json()["response_status"]] == [4001]


async def test_a_wrong_key_is_refused() -> None:
    async with calling(one_request(), key="wrong") as http:
        answer = await http.get("/api/v3/requests/5")
    assert (answer.status_code, answer.json()["response_status"]["status_code"]) == (401, 4022)


async def test_a_note_as_bare_json_is_not_taken() -> None:
    async with calling(one_request()) as http:
        answer = await http.post("/api/v3/requests/5/notes", json={"note": {"description": "x"}})
    assert answer.json()["response_status"]["status_code"] == 4012


async def test_a_note_loses_its_comments_and_scripts() -> None:
    desk = one_request()
    async with calling(desk) as http:
        note = {"description": "a<!-- marker -->b<script>c()</script>d", "show_to_requester": True}
        await http.post("/api/v3/requests/5/notes", data=form({"note": note}))
        listed = (await http.get("/api/v3/requests/5/notes")).json()
    assert [row["description"] for row in listed["notes"]] == ["abd"]
    assert listed["notes"][0]["show_to_requester"] is True
    assert listed["list_info"]["has_more_rows"] is False


async def test_resolving_a_request_keeps_its_resolution() -> None:
    desk = one_request()
    async with calling(desk) as http:
        resolution = form({"resolution": {"content": "<p>new rolls</p>"}})
        await http.post("/api/v3/requests/5/resolutions", data=resolution)
        changed = await http.put(
            "/api/v3/requests/5", data=form({"request": {"status": {"name": "Resolved"}, "subject": "Rolls"}})
        )
        kept = (await http.get("/api/v3/requests/5/resolutions")).json()
    request = changed.json()["request"]
    assert (request["status"]["in_progress"], request["subject"]) == (False, "Rolls")
    assert request["resolved_time"]["value"].isdigit()
    assert kept["resolution"]["content"] == "<p>new rolls</p>"


@pytest.mark.parametrize("mode", ["signed", "static"])
async def test_a_new_request_sends_a_webhook_with_its_proof(mode: Any) -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    desk = ServiceDesk()
    async with receiver(got) as url, calling(desk) as http:
        desk.webhook = WebhookTarget(url=url, secret=SECRET, mode=mode, tenant="acme")
        created = await http.post("/api/v3/requests", data=form({"request": {"subject": "VPN drops"}}))
    assert created.status_code == 201
    ((headers, body),) = got
    signature = hmac.new(SECRET.encode(), body, sha256).hexdigest()
    assert headers.get("x-servicedesk-signature") == (f"sha256={signature}" if mode == "signed" else None)
    assert headers.get("x-dossier-secret") == (SECRET if mode == "static" else None)
    sent = json.loads(body)
    assert (sent["event"], sent["tenant_id"], sent["subject"]) == ("ticket_created", "acme", "VPN drops")
    assert desk.deliveries[0].status == 202


async def test_it_is_controlled_over_http() -> None:
    got: list[tuple[dict[str, str], bytes]] = []
    desk = ServiceDesk()
    async with receiver(got) as url, calling(desk) as http:
        target = {"url": url, "secret": SECRET, "template": "hint"}
        assert (await http.post("/_standin/webhook", json=target)).status_code == 200
        created = (await http.post("/_standin/requests", json={"subject": "Mail is slow"})).json()
        id_ = created["request"]["id"]
        again = (await http.post(f"/_standin/requests/{id_}/webhook")).json()
        await http.post("/_standin/faults", json={"kind": "rate_limited", "count": 2, "retry_after": "3"})
        limited = [await http.get(f"/api/v3/requests/{id_}") for _ in range(3)]
        await http.post(f"/api/v3/requests/{id_}/notes", data=form({"note": {"description": "n"}}))
        notes = (await http.get(f"/_standin/requests/{id_}/notes")).json()
        calls = (await http.get("/_standin/calls")).json()
        page = await http.get(created["page"])
        await http.post("/_standin/reset")
        left = (await http.get("/_standin/calls")).json()
    assert created["delivery"]["status"] == again["status"] == 202
    assert json.loads(created["delivery"]["body"]) == {"id": "e1"}
    assert [json.loads(body) for _, body in got] == [
        {"event": "ticket_created", "tenant_id": "", "ticket_id": id_}
    ] * 2
    assert [answer.status_code for answer in limited] == [429, 429, 200]
    assert limited[0].headers["retry-after"] == "3"
    assert notes["count"] == 1
    assert [call["status"] for call in calls["calls"]] == [429, 429, 200, 201]
    assert "Mail is slow" in page.text
    assert left["count"] == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"kind": "flood"}),
        ("webhook", {"url": "x"}),
        ("requests", {"subject": "s", "colour": "red"}),
    ],
)
async def test_a_wrong_control_is_refused(path: str, body: object) -> None:
    async with calling(one_request()) as http:
        assert (await http.post(f"/_standin/{path}", json=body)).status_code == 400


async def test_a_page_escapes_texts_and_lets_nothing_run() -> None:
    desk = one_request()
    desk.add_note(desk.requests["5"], description="<p>Dossier <em>brief</em></p><img src=x onerror=alert(1)>")
    async with calling(desk) as http:
        page = await http.get("/WorkOrder.do", params={"woMode": "viewWO", "woID": "5"})
        index = await http.get("/")
        missing = await http.get("/WorkOrder.do", params={"woID": "6"})
    assert "&lt;b&gt;Printer&lt;/b&gt;" in page.text
    assert "<em>brief</em>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "woID=5" in index.text
    assert missing.status_code == 404


async def test_the_sample_incidents_are_requests_with_escaped_texts(tmp_path: Path) -> None:
    file = tmp_path / "incidents.jsonl"
    line = {"id": "8", "subject": "s", "description": "a < b\nc", "expected": {}}
    file.write_text(json.dumps(line) + "\n\n")
    (request,) = new_requests(file)
    assert (request.id, request.description) == ("8", "a &lt; b<br>c")
    assert ServiceDesk(new_requests(SAMPLE)).requests


async def test_it_runs_as_a_program_until_it_is_told_to_stop(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text('{"id": "8", "subject": "Hello"}\n')
    command = ["-m", "cli.standins.servicedesk_plus", "--port", "0", "--requests", str(file)]
    program = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    assert program.stdout is not None
    try:
        base_url = (await asyncio.wait_for(program.stdout.readline(), 20)).decode().strip()
        async with httpx.AsyncClient(base_url=base_url, trust_env=False) as http:
            health = await http.get("/_standin/health")
        assert health.json() == {"ok": True, "edition": "onprem", "requests": 1}
    finally:
        program.terminate()
        await asyncio.wait_for(program.wait(), 10)
