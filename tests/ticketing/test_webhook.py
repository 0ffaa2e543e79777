import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ticketing.errors import MalformedWebhook
from ticketing.model import WebhookEvent, WebhookRequest
from ticketing.servicedesk_plus import ServiceDeskPlus

RECORDED = Path(__file__).parent / "servicedesk_plus_request.json"
TEMPLATE: dict[str, object] = {
    "event": "ticket.created",
    "ticket_id": "TKT-001",
    "tenant_id": "acme",
    "subject": "Printer &amp; scanner offline",
    "description": "<p>The label printer<br>is <b>offline</b></p>",
    "requester": "Ann",
    "requester_email": "ann@acme.example",
    "priority": "High",
    "category": "Printing",
    "site": "Venlo",
    "status": "Open",
    "created_at": "1593000300533",
    "updated_at": "2020-06-24T15:27:44+00:00",
    "tags": "labels, warehouse",
}


def parse(body: bytes, content_type: str = "application/json") -> WebhookEvent:
    return ServiceDeskPlus().parse(WebhookRequest.received([("Content-Type", content_type)], body))


def parse_json(value: object) -> WebhookEvent:
    return parse(json.dumps(value).encode())


def recorded() -> dict[str, object]:
    request: dict[str, object] = json.loads(RECORDED.read_text())["request"]
    return request


def test_the_template_of_existing_senders_gives_the_whole_ticket() -> None:
    event = parse_json(TEMPLATE)
    ticket = event.ticket
    assert (event.kind, event.is_hint, event.delivery_id) == ("ticket_created", False, None)
    assert (ticket.id, ticket.subject) == ("TKT-001", "Printer & scanner offline")
    assert ticket.description == "The label printer\nis offline"
    assert (ticket.requester, ticket.requester_email) == ("Ann", "ann@acme.example")
    assert (ticket.priority, ticket.category, ticket.site) == ("High", "Printing", "Venlo")
    assert ticket.created == datetime(2020, 6, 24, 12, 5, 0, 533000, UTC)
    assert ticket.tags == ("labels", "warehouse")
    assert not ticket.resolved


def test_ids_alone_are_a_hint() -> None:
    event = parse_json({"event": "created", "ticket_id": 102})
    assert (event.kind, event.is_hint, event.ticket.id) == ("ticket_created", True, "102")


def test_a_template_without_description_is_a_hint() -> None:
    assert parse_json({"ticket_id": "1", "subject": "Only a subject"}).is_hint


def test_a_number_of_any_length_is_an_id() -> None:
    assert (
        parse(b'{"ticket_id": 123456789012345678901234567890}').ticket.id == "123456789012345678901234567890"
    )


def test_the_tools_own_request_is_read_whole() -> None:
    event = parse_json({"event": "request_created", "request": recorded()})
    assert (event.kind, event.is_hint) == ("ticket_created", False)
    assert (event.ticket.id, event.ticket.display_id) == ("123640000000240013", "102")
    assert (event.ticket.status, event.ticket.priority) == ("Open", "High")
    assert event.ticket.updated == datetime(2020, 6, 24, 15, 27, 44, 184000, UTC)
    assert event.revision == "1593012464184:open"


def test_a_form_is_read_like_json() -> None:
    form = urlencode({name: str(value) for name, value in TEMPLATE.items()}).encode()
    assert (
        parse(form, "application/x-www-form-urlencoded; charset=UTF-8").ticket == parse_json(TEMPLATE).ticket
    )


def test_json_within_a_form_field_is_read() -> None:
    form = urlencode({"input_data": json.dumps(TEMPLATE)}).encode()
    assert parse(form, "application/x-www-form-urlencoded").ticket == parse_json(TEMPLATE).ticket


def test_json_that_is_labelled_a_form_is_read_as_json() -> None:
    body = json.dumps(TEMPLATE).encode()
    assert parse(body, "application/x-www-form-urlencoded").ticket == parse_json(TEMPLATE).ticket


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(TEMPLATE).encode()).ticket.id == "TKT-001"


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        ("", "Open", "ticket_created"),
        ("ticket_created", "Open", "ticket_created"),
        ("Request Added", "Open", "ticket_created"),
        ("ticket.updated", "Open", "ticket_updated"),
        ("ticket.reopened", "Open", "ticket_updated"),
        ("ticket.assigned", "", "ticket_updated"),
        ("ticket.updated", "Resolved", "ticket_resolved"),
        ("ticket.created", "Closed", "ticket_resolved"),
        ("request_closed", "", "ticket_resolved"),
        ("note_added", "Open", "ignored"),
        ("request.note.created", "Resolved", "ignored"),
        ("request_deleted", "Open", "ignored"),
        ("solar_flare", "Open", "ignored"),
    ],
)
def test_the_event_and_the_status_say_what_happened(event: str, status: str, kind: str) -> None:
    parsed = parse_json({**TEMPLATE, "event": event, "status": status})
    assert parsed.kind == kind
    assert bool(parsed.reason) == (kind == "ignored")


def test_a_webhook_about_a_note_is_ignored_whatever_it_is_called() -> None:
    note = {"id": "9", "description": "Dossier 0199"}
    assert parse_json({"event": "updated", "ticket_id": "1", "note": note}).kind == "ignored"


def test_a_localised_status_is_told_by_whether_work_goes_on() -> None:
    request = {**recorded(), "status": {"name": "Opgelost", "in_progress": False}}
    assert parse_json({"request": request}).kind == "ticket_resolved"


def test_a_reopened_request_is_not_resolved_by_its_old_times() -> None:
    request = {**recorded(), "resolved_time": {"value": "1593012464184"}}
    assert parse_json({"event": "updated", "request": request}).kind == "ticket_updated"


def test_an_edition_without_in_progress_is_told_by_its_times() -> None:
    request = {**recorded(), "status": {"name": "Klaar"}, "completed_time": {"value": "1593012464184"}}
    assert parse_json({"event": "updated", "request": request}).ticket.resolved


def test_the_revision_is_of_the_state_and_not_of_the_delivery() -> None:
    first = parse_json({**TEMPLATE, "delivery_id": "d1"})
    again = parse_json({**TEMPLATE, "delivery_id": "d2"})
    changed = parse_json({**TEMPLATE, "status": "Onhold"})
    later = parse_json({**TEMPLATE, "updated_at": "1593000300999"})
    assert first.revision == again.revision
    assert (first.delivery_id, again.delivery_id) == ("d1", "d2")
    assert len({first.revision, changed.revision, later.revision}) == 3


def test_without_a_time_the_revision_is_of_the_body() -> None:
    hint = {"event": "created", "ticket_id": "1"}
    assert parse_json(hint).revision == parse_json(hint).revision
    assert parse_json(hint).revision != parse_json({**hint, "ticket_id": "2"}).revision


def test_only_a_web_address_is_taken_as_the_tickets() -> None:
    assert parse_json({**TEMPLATE, "url": "https://sdp.example/1"}).ticket.url == "https://sdp.example/1"
    assert parse_json({**TEMPLATE, "url": "javascript:alert(1)"}).ticket.url == ""


def test_characters_that_no_database_or_reader_takes_are_removed() -> None:
    ticket = parse_json(
        {**TEMPLATE, "subject": "a\u0000b", "description": "c\u200b\u202ed", "site": "e\u0000"}
    ).ticket
    assert (ticket.subject, ticket.description, ticket.site) == ("ab", "cd", "e")


def test_half_a_character_that_a_template_cut_is_replaced() -> None:
    body = b'{"ticket_id": "1", "subject": "fire \\ud83d", "description": "fire \\ud83d\\udd25"}'
    assert (parse(body).ticket.subject, parse(body).ticket.description) == ("fire \ufffd", "fire \U0001f525")


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", (1, 1)),
        (b'{"event": "created",\n "subject": "say "hi""}', (2, 19)),
        (b'{"event": "created"', (1, 20)),
        (b'{\n"subject": "\xff"}', (2, 13)),
        (b"[1]", (1, 1)),
        (b'"text"', (1, 1)),
        (b'{"ticket_id": NaN}', (1, 1)),
        (b'{"ticket_id": ' + b"9" * 5000 + b"}", (1, 1)),
        (b'{"a":' * 100_000, (1, 1)),
    ],
)
def test_what_is_not_json_is_refused_with_its_position(body: bytes, position: tuple[int, int]) -> None:
    with pytest.raises(MalformedWebhook) as refused:
        parse(body)
    assert (refused.value.position, refused.value.field) == (position, None)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"event": "created"}, "ticket_id"),
        ({"ticket_id": ""}, "ticket_id"),
        ({"ticket_id": True}, "ticket_id"),
        ({"ticket_id": "../../admin"}, "ticket_id"),
        ({"ticket_id": "1\n"}, "ticket_id"),
        ({"ticket_id": "1" * 65}, "ticket_id"),
        ({"ticket_id": "1", "subject": {"a": 1}}, "subject"),
        ({"event": ["created"], "ticket_id": "1"}, "event"),
        ({"request": {"subject": "no id"}}, "request.id"),
        ({"request": {"id": "1", "requester": {"name": 5}}}, "request.requester.name"),
        ({"request": "1"}, "request"),
    ],
)
def test_a_wrong_field_is_named(value: object, field: str) -> None:
    with pytest.raises(MalformedWebhook) as refused:
        parse_json(value)
    assert (refused.value.field, refused.value.position) == (field, None)


@pytest.mark.parametrize("body", [b"a&b&c=%ff", b"\xff=1", b"&".join(b"f%d=1" % n for n in range(300))])
def test_what_is_not_a_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedWebhook):
        parse(body, "application/x-www-form-urlencoded")


def test_a_form_field_given_twice_is_named() -> None:
    with pytest.raises(MalformedWebhook) as refused:
        parse(b"ticket_id=1&ticket_id=2", "application/x-www-form-urlencoded")
    assert refused.value.field == "ticket_id"
