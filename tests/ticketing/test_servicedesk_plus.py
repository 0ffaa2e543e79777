"""The adapter against an independent ServiceDesk Plus, both editions, over real HTTP."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import ClientSession

from cli.standins.servicedesk_plus import Fault, NewRequest, ServiceDesk
from egress.connection import Connection
from ticketing.errors import PermissionMissing, TicketMissing, ToolRateLimited, ToolRejected, ToolUnavailable
from ticketing.servicedesk_plus import ServiceDeskPlus

TOOL = ServiceDeskPlus()
MARKER = "Dossier 019abc"
START = datetime(2026, 1, 1, tzinfo=UTC)


async def post(http: ClientSession, connection: Connection, *, marker: str = MARKER) -> str:
    return (await TOOL.post_note(http, connection, "10501", body="<h3>Brief</h3>", marker=marker)).id


async def listed(http: ClientSession, connection: Connection, since: datetime = START) -> list[str]:
    return [ticket.id async for ticket in TOOL.list_resolved(http, connection, since=since)]


def resolved(number: int, *, at: datetime) -> NewRequest:
    return NewRequest(
        id=str(number),
        subject=f"Case {number}",
        description="<p>was broken</p>",
        status="Resolved",
        resolution=f"<p>Replaced part {number}</p>",
        created=START,
        resolved=at,
    )


async def test_a_ticket_is_read_in_neutral_terms(http: ClientSession, connection: Connection) -> None:
    ticket = await TOOL.read_ticket(http, connection, "10501")
    assert (ticket.id, ticket.display_id, ticket.subject) == ("10501", "10501", "Empty stickers")
    assert ticket.description == "The printer\nfeeds twice"
    assert (ticket.requester, ticket.requester_email) == ("Rob Claessen", "rob@acme.example")
    assert (ticket.priority, ticket.category, ticket.site) == ("High", "Printing", "Venlo")
    assert (ticket.status, ticket.resolved, ticket.resolution) == ("Open", False, None)
    assert ticket.created == ticket.updated
    assert (await http.get(ticket.url)).status == 200


async def test_a_resolved_ticket_comes_with_its_resolution(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.create(resolved(7, at=START))
    ticket = await TOOL.read_ticket(http, connection, "7")
    assert (ticket.resolved, ticket.resolution) == (True, "Replaced part 7")


async def test_a_note_is_private_and_carries_its_marker(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    posted = await TOOL.post_note(http, connection, "10501", body="<h3>Brief</h3>", marker="Dossier <&1>")
    (note,) = desk.requests["10501"].notes
    assert posted.id == note.id
    assert note.description == "<h3>Brief</h3><p><small>Dossier &lt;&amp;1&gt;</small></p>"
    assert {note.show_to_requester, note.notify_technician, note.mark_first_response} == {False}
    page = await http.get(posted.url)
    assert "<h3>Brief</h3>" in await page.text()


async def test_a_note_is_found_by_its_marker(http: ClientSession, connection: Connection) -> None:
    note = await post(http, connection)
    found = await TOOL.find_note(http, connection, "10501", marker=MARKER)
    assert found is not None
    assert found.id == note


async def test_a_marker_that_only_begins_alike_is_another(
    http: ClientSession, connection: Connection
) -> None:
    await post(http, connection, marker=f"{MARKER}-2")
    await post(http, connection, marker=f"{MARKER}3")
    assert await TOOL.find_note(http, connection, "10501", marker=MARKER) is None


async def test_a_note_beyond_the_first_page_is_found(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    for number in range(230):
        desk.add_note(desk.requests["10501"], description=f"note {number}")
    note = await post(http, connection)
    found = await TOOL.find_note(http, connection, "10501", marker=MARKER)
    assert found is not None
    assert found.id == note
    assert desk.calls.count("GET", "/notes") == 3


async def test_after_a_lost_reply_the_note_is_found_rather_than_posted_twice(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="lost_reply", method="POST"))
    with pytest.raises(ToolUnavailable):
        await post(http, connection)
    assert await TOOL.find_note(http, connection, "10501", marker=MARKER) is not None
    assert len(desk.requests["10501"].notes) == 1


async def test_resolved_tickets_are_listed_whole_and_oldest_first(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    for number in range(1, 251):
        desk.create(resolved(number, at=START + timedelta(minutes=number)))
    ids = await listed(http, connection)
    assert ids == [str(number) for number in range(1, 251)]
    lists = [call for call in desk.calls if call.path == "/requests"]
    assert len(lists) == 3
    assert max(json.loads(call.input_data or "")["list_info"]["row_count"] for call in lists) == 100


async def test_more_tickets_in_one_instant_than_a_page_holds_are_all_listed_once(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    for number in range(1, 131):
        desk.create(resolved(number, at=START))
    for number in range(131, 261):
        desk.create(resolved(number, at=START + timedelta(days=1)))
    assert sorted(await listed(http, connection), key=int) == [str(number) for number in range(1, 261)]


async def test_open_and_older_tickets_are_not_listed(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.create(resolved(1, at=START))
    desk.create(resolved(2, at=START + timedelta(days=2)))
    assert await listed(http, connection, START + timedelta(days=1)) == ["2"]


async def test_a_ticket_deleted_while_listing_is_left_out(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    for number in (1, 2, 3):
        desk.create(resolved(number, at=START + timedelta(minutes=number)))
    found = []
    async for ticket in TOOL.list_resolved(http, connection, since=START):
        desk.requests.pop("2", None)
        found.append(ticket.id)
    assert found == ["1", "3"]


async def test_an_unknown_ticket_is_missing(http: ClientSession, connection: Connection) -> None:
    with pytest.raises(TicketMissing, match="999"):
        await TOOL.read_ticket(http, connection, "999")
    with pytest.raises(TicketMissing):
        await TOOL.post_note(http, connection, "999", body="x", marker=MARKER)


@pytest.mark.parametrize(
    ("retry_after", "at_least", "at_most"),
    [
        ("7", 7, 7),
        ("", 60, 60),
        ("soon", 60, 60),
        ("0", 1, 1),
        ("999999", 3600, 3600),
    ],
)
async def test_a_rate_limit_says_when_to_come_back(
    http: ClientSession,
    connection: Connection,
    desk: ServiceDesk,
    *,
    retry_after: str,
    at_least: float,
    at_most: float,
) -> None:
    desk.faults.inject(Fault(kind="rate_limited", retry_after=retry_after))
    with pytest.raises(ToolRateLimited) as limited:
        await post(http, connection)
    assert at_least <= limited.value.retry_after_seconds <= at_most
    assert desk.requests["10501"].notes == []


async def test_a_rate_limit_may_name_the_moment(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=30)
    desk.faults.inject(Fault(kind="rate_limited", retry_after=format_datetime(moment, usegmt=True)))
    with pytest.raises(ToolRateLimited) as limited:
        await post(http, connection)
    left = (moment - datetime.now(UTC)).total_seconds()
    assert left - 1 <= limited.value.retry_after_seconds <= 1800


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault(kind="error"), ToolUnavailable, "4004"),
        (Fault(kind="truncated"), ToolUnavailable, "cut short"),
        (Fault(kind="lost_reply"), ToolUnavailable, "add a note"),
        (Fault(kind="failed_with_200"), ToolRejected, "4001: Unable to add"),
        (Fault(kind="forbidden"), PermissionMissing, "role .* add notes"),
        (Fault(kind="web_page"), ToolRejected, "web page"),
        (Fault(kind="redirect"), ToolRejected, "final address"),
        (Fault(kind="huge"), ToolRejected, "larger"),
    ],
)
async def test_a_failure_says_whether_to_try_again_and_what_to_check(
    http: ClientSession,
    connection: Connection,
    desk: ServiceDesk,
    *,
    fault: Fault,
    error: type[Exception],
    says: str,
) -> None:
    desk.faults.inject(fault)
    with pytest.raises(error, match=says) as failed:
        await post(http, connection)
    assert type(failed.value) is error
    assert desk.calls.count() == 1


async def test_a_failure_within_a_list_is_seen(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="failed_with_200"))
    with pytest.raises(ToolRejected, match="4001"):
        await listed(http, connection)


async def test_a_slow_tool_is_given_up(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    hasty = replace(connection, options={**connection.options, "timeout_seconds": "0.2"})
    desk.faults.inject(Fault(kind="slow", seconds=30))
    with pytest.raises(ToolUnavailable, match=r"within 0\.2 s"):
        await TOOL.read_ticket(http, hasty, "10501")


async def test_a_refused_key_is_told_without_the_key(http: ClientSession, connection: Connection) -> None:
    wrong = replace(connection, credentials={"authtoken": "hunter2"})
    with pytest.raises(ToolRejected, match="authtoken") as refused:
        await TOOL.read_ticket(http, wrong, "10501")
    assert "hunter2" not in str(refused.value) + repr(refused.value)


async def test_the_other_editions_address_has_no_api(
    http: ClientSession, connection: Connection, desk: ServiceDesk
) -> None:
    other = "cloud" if desk.edition == "onprem" else "onprem"
    astray = replace(connection, options={**connection.options, "edition": other})
    with pytest.raises(ToolRejected, match="check base_url and portal"):
        await TOOL.read_ticket(http, astray, "10501")


async def test_a_tool_that_is_down_is_unavailable(http: ClientSession) -> None:
    down = Connection("http://127.0.0.1:9", {"authtoken": "k"})
    with pytest.raises(ToolUnavailable, match="no connection to base_url"):
        await TOOL.read_ticket(http, down, "1")


@pytest.mark.parametrize(
    ("connection", "says"),
    [
        (Connection("http://sdp", {}), "authtoken is missing"),
        (Connection("http://sdp", {"authtoken": "hun\r\nter2"}), "no header can carry"),
        (Connection("http://sdp", {"authtoken": "hunter\u00e9"}), "no header can carry"),
        (Connection("ftp://sdp", {"authtoken": "k"}), "base_url"),
        (Connection("http://a:b@sdp", {"authtoken": "k"}), "base_url"),
        (Connection("http://sdp:99999", {"authtoken": "k"}), "base_url"),
        (Connection("http://sdp?x=1", {"authtoken": "k"}), "base_url"),
        (Connection("http://sdp", {"authtoken": "k"}, {"edition": "msp"}), "edition"),
        (Connection("http://sdp", {"authtoken": "k"}, {"edition": "cloud", "portal": "../x"}), "portal"),
        (Connection("http://sdp", {"authtoken": "k"}, {"timeout_seconds": "nan"}), "timeout_seconds"),
    ],
)
async def test_a_wrong_setting_is_named_before_anything_is_sent(
    http: ClientSession, connection: Connection, says: str
) -> None:
    with pytest.raises(ToolRejected, match=says) as refused:
        await TOOL.read_ticket(http, connection, "1")
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("ticket_id", ["", "..", "1/notes", "1?x", "a b", "1\n"])
async def test_an_id_cannot_lead_to_another_address(http: ClientSession, ticket_id: str) -> None:
    connection = Connection("http://127.0.0.1:9", {"authtoken": "k"})
    with pytest.raises(ToolRejected, match="ticket id"):
        await TOOL.read_ticket(http, connection, ticket_id)
