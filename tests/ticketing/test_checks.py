"""The test of a connection: a verdict on everything, whatever answers at the address."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from cli.standins.servicedesk_plus import ServiceDesk
from cli.standins.servicedesk_plus.faults import Fault
from egress.connection import Connection
from egress.guard import Guard
from tests.ticketing.test_hostile_tool import BOMB, KEY, SUCCESS, always, tool
from ticketing.checks import Check, Finding, Verdict, check_connection
from ticketing.model import NoteTrial
from ticketing.servicedesk_plus import ServiceDeskPlus
from ticketing.session import tool_session

TOOL = ServiceDeskPlus()
MARKER = "Dossier connection test 7"
OK, FAILED, UNKNOWN, SKIPPED = Verdict.OK, Verdict.FAILED, Verdict.UNKNOWN, Verdict.SKIPPED


async def findings_of(
    http: ClientSession, connection: Connection, *, ticket_id: str | None = None, **seconds: float
) -> Sequence[Finding]:
    limits = {"seconds": 20.0, "seconds_each": 8.0, **seconds}
    trial = NoteTrial(ticket_id, MARKER) if ticket_id else None
    findings = await check_connection(http, TOOL, connection, trial=trial, **limits)
    assert [each.check for each in findings] == list(Check)
    assert all(each.seen for each in findings)
    assert all(each.next_step for each in findings if each.verdict is not OK), findings
    secrets = connection.credentials.values()
    assert not any(secret in f"{each}" for each in findings for secret in secrets)
    return findings


def verdicts(findings: Sequence[Finding]) -> list[Verdict]:
    return [each.verdict for each in findings]


async def test_a_good_connection_is_good_and_nothing_is_written(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    findings = await findings_of(http, connection)

    assert verdicts(findings) == [OK, OK, OK, OK, UNKNOWN, OK]
    assert "adding one" in findings[4].seen
    assert desk.calls.count("POST") == 0
    assert not desk.requests["10501"].notes
    # One attempt each.
    assert len(desk.calls) == 4


async def test_with_a_ticket_a_private_note_is_tried_for_real(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    findings = await findings_of(http, connection, ticket_id="10501")

    assert verdicts(findings) == [OK] * 6
    (note,) = desk.requests["10501"].notes
    assert not note.show_to_requester
    assert "Dossier" in note.description
    assert "may be deleted" in note.description

    await findings_of(http, connection, ticket_id="10501")
    assert len(desk.requests["10501"].notes) == 1


async def test_a_note_that_a_rule_of_the_tool_publishes_is_a_failure(
    http: ClientSession, connection: Connection, desk: ServiceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ServiceDesk.add_note

    def published(*args: Any, **more: Any) -> object:
        return add(*args, **(more | {"show_to_requester": True}))

    monkeypatch.setattr(ServiceDesk, "add_note", published)

    findings = await findings_of(http, connection, ticket_id="10501")

    assert findings[4].verdict is FAILED
    assert "visible to the requester" in findings[4].seen


async def test_a_wrong_key_is_reached_and_refused(http: ClientSession, connection: Connection) -> None:
    findings = await findings_of(http, replace(connection, credentials={"authtoken": "hunter3"}))

    assert verdicts(findings) == [OK, FAILED, SKIPPED, SKIPPED, SKIPPED, SKIPPED]
    assert "the API key is refused" in findings[1].seen
    assert "expired or revoked" in findings[1].next_step


async def test_an_option_that_means_nothing_is_found(http: ClientSession, connection: Connection) -> None:
    for name, value in (("requests_per_minute", "many"), ("timeout_seconds", "0")):
        wrong = replace(connection, options={**connection.options, name: value})
        findings = await findings_of(http, wrong)
        assert verdicts(findings)[:2] == [OK, FAILED]
        assert name in findings[1].seen


async def test_without_a_key_the_tool_is_reached_all_the_same(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    findings = await findings_of(http, replace(connection, credentials={}))

    assert verdicts(findings)[:2] == [OK, FAILED]
    assert "authtoken is missing" in findings[1].seen
    assert not desk.calls


@pytest.mark.parametrize(
    ("path", "method", "failing"),
    [
        ("/requests/10501/notes", "POST", [4]),
        ("/requests/10501/notes", "GET", [3]),
        ("/requests/10501", "GET", [2]),
    ],
)
async def test_a_missing_permission_is_told_from_the_others(
    http: ClientSession,
    connection: Connection,
    desk: ServiceDesk,
    *,
    path: str,
    method: str,
    failing: list[int],
) -> None:
    desk.faults.inject(Fault(kind="forbidden", path=path, method=method))

    findings = await findings_of(http, connection, ticket_id="10501")

    assert [number for number, each in enumerate(findings) if each.verdict is FAILED] == failing
    (failed,) = (findings[number] for number in failing)
    assert "forbidden: not allowed for your role" in failed.seen
    assert "role of the API key's technician" in failed.next_step
    assert findings[5].verdict is OK


async def test_a_key_that_may_list_nothing_is_known_all_the_same(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="forbidden", count=9))

    findings = await findings_of(http, connection)

    assert verdicts(findings) == [OK, OK, UNKNOWN, UNKNOWN, UNKNOWN, FAILED]


async def test_a_ticket_that_is_not_there_is_named(http: ClientSession, connection: Connection) -> None:
    findings = await findings_of(http, connection, ticket_id="999")

    assert verdicts(findings) == [OK, OK, FAILED, SKIPPED, SKIPPED, OK]
    assert "999" in findings[2].seen


async def test_an_empty_tool_says_little_and_fails_nothing(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.requests.clear()

    assert verdicts(await findings_of(http, connection)) == [OK, OK, UNKNOWN, UNKNOWN, UNKNOWN, OK]


async def test_a_tool_that_limits_us_is_left_alone(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="rate_limited", retry_after="17"))

    findings = await findings_of(http, connection)

    assert verdicts(findings) == [OK, UNKNOWN, SKIPPED, SKIPPED, SKIPPED, SKIPPED]
    assert "17 s" in findings[1].next_step
    assert len(desk.calls) == 1


async def test_a_private_address_is_said_as_such_with_the_setting_to_change(connection: Connection) -> None:
    async with tool_session(Guard(), 5) as http:
        findings = await findings_of(http, connection)

    assert verdicts(findings) == [FAILED] + [SKIPPED] * 5
    assert "leads to 127.0.0.1, which is not public" in findings[0].seen
    assert findings[0].next_step == "the operator can permit it with DOSSIER_PERMITTED_NETWORKS"


async def test_the_metadata_service_is_not_said_to_be_permittable() -> None:
    async with tool_session(Guard(), 5) as http:
        findings = await findings_of(http, Connection("http://169.254.169.254", {"authtoken": KEY}))

    assert findings[0].next_step == "nothing can permit it"


@pytest.mark.parametrize(
    ("base_url", "seen"),
    [
        ("http://127.0.0.1:1", "no connection to base_url"),
        ("https://desk.acme.invalid", "the name in base_url is not known"),
    ],
)
async def test_what_cannot_be_reached_is_told_by_what_broke(
    http: ClientSession, base_url: str, seen: str
) -> None:
    findings = await findings_of(http, Connection(base_url, {"authtoken": KEY}))

    assert verdicts(findings) == [FAILED] + [SKIPPED] * 5
    assert findings[0].seen == seen


async def test_a_server_that_speaks_no_tls_is_told_as_such(
    http: ClientSession, connection: Connection
) -> None:
    findings = await findings_of(
        http, replace(connection, base_url=connection.base_url.replace("http:", "https:"))
    )

    assert findings[0].seen == "no TLS connection to base_url"


@pytest.mark.parametrize(
    ("response", "failing", "says"),
    [
        (HTMLResponse("<h1>Bad gateway</h1>", 502), 0, "HTTP 502"),
        (HTMLResponse("<h1>Log in</h1>"), 1, "a web page"),
        (Response(status_code=302, headers={"location": "/Login.jsp"}), 1, "redirected"),
        (Response(BOMB, headers={"content-encoding": "gzip"}), 1, "larger"),
        (Response(b"\xff\xfe\x00"), 1, "cut short"),
        (JSONResponse({"response_status": SUCCESS, "requests": 5}), 1, "not one of the v3 API"),
        (
            JSONResponse({"response_status": {"status": "failed", "messages": [{"message": KEY}]}}),
            1,
            r"\*\*\*",
        ),
    ],
)
async def test_hostile_answers_are_failures_with_a_next_step(
    http: ClientSession, response: Response, failing: int, says: str
) -> None:
    async with tool(always(response)) as connection:
        findings = await findings_of(http, connection)

    expected = [OK] * failing + [FAILED] + [SKIPPED] * (5 - failing)
    assert verdicts(findings) == expected
    assert re.search(says, findings[failing].seen)


async def test_the_test_ends_in_time_however_slow_the_tool_is(http: ClientSession) -> None:
    async def slow(asked: Request) -> Response:
        await asyncio.sleep(0 if asked.url.path == "/" else 30)
        return JSONResponse({"response_status": [SUCCESS]})

    async with tool(slow) as connection:
        started = time.monotonic()
        findings = await findings_of(http, connection, seconds_each=0.3)
        assert time.monotonic() - started < 3

    assert verdicts(findings) == [OK, FAILED, SKIPPED, SKIPPED, SKIPPED, SKIPPED]
    assert "no answer within" in findings[1].seen


async def test_what_there_is_no_time_for_is_not_tried(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="slow", seconds=0.4, path="/requests/10501"))
    short = await findings_of(http, connection, seconds=0.3, seconds_each=0.5)

    assert verdicts(short)[2] is FAILED
    assert verdicts(short)[-1] is SKIPPED
    assert "the time for the test was over" in short[-1].seen


async def test_an_adapter_that_breaks_does_not_break_the_test(
    http: ClientSession, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(ServiceDeskPlus):
        def probe(self, *args: Any, **more: Any) -> Any:
            probe = super().probe(*args, **more)
            monkeypatch.setattr(probe, "sign_in", breaks(connection.credentials["authtoken"]))
            return probe

    findings = await check_connection(http, Broken(), connection, trial=None, seconds=5, seconds_each=5)

    assert findings[1].verdict is UNKNOWN
    assert findings[1].seen == "the adapter failed with ValueError"


def breaks(secret: str) -> Callable[[], Awaitable[str]]:
    async def sign_in() -> str:
        raise ValueError(f"header {secret} is illegal")

    return sign_in
