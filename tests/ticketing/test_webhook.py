import json
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

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


@pytest.mark.parametrize("name", ["organisation", "organization", "account", "company"])
def test_a_template_may_name_the_requesters_organisation(name: str) -> None:
    assert parse_json({**TEMPLATE, name: "Acme GmbH"}).ticket.organisation == "Acme GmbH"


def test_the_account_of_the_providers_edition_is_the_organisation() -> None:
    event = parse_json({"request": {**recorded(), "account": {"id": "3", "name": "Acme GmbH"}}})
    assert event.ticket.organisation == "Acme GmbH"


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


def own_note(*, minutes_ago: float = 0.1) -> str:
    """As the tool holds it: what was posted, less what it does not keep."""
    begun = int((time.time() - minutes_ago * 60) * 1000)
    run = UUID(int=begun << 80 | 0x7 << 76 | 0b10 << 62 | 0xD0551E)
    return f"<h3>Similar tickets</h3><ul><li>See 17.</li></ul><p><small>Dossier {run}</small></p>"


def about(where: str, note: str, *, event: str) -> dict[str, object]:
    """A webhook whose template carries the note."""
    match where:
        case "template":
            return {**TEMPLATE, "event": event, "last_note": note}
        case "hint":
            return {"event": event, "ticket_id": "TKT-001", "comment": note}
        case "request":
            notes = [{"id": "8", "description": "<p>Called Ann.</p>"}, {"id": "9", "description": note}]
            return {"event": event, "request": {**recorded(), "notes": notes}}
        case _:
            raise AssertionError(where)


SHAPES = ("template", "hint", "request")


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize("event", ["note_added", "Request Note Added", "conversation.created"])
def test_the_event_of_our_own_note_is_ignored_in_every_shape(where: str, event: str) -> None:
    for note in (own_note(), own_note(minutes_ago=10_000), "<p>A person's</p>"):
        assert parse_json(about(where, note, event=event)).kind == "ignored"


@pytest.mark.parametrize("where", SHAPES)
def test_an_update_that_carries_our_own_note_is_ignored_in_every_shape(where: str) -> None:
    event = parse_json(about(where, own_note(), event="ticket.updated"))
    assert (event.kind, event.reason) == ("ignored", "it is about a note of our own")


def test_an_update_by_form_that_carries_our_own_note_is_ignored() -> None:
    form = urlencode({"event": "updated", "ticket_id": "1", "NOTES": own_note()}).encode()
    assert parse(form, "application/x-www-form-urlencoded").kind == "ignored"


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize(
    "note",
    [
        "<p>Called Ann.</p>",
        own_note() + "<p>Thanks, this helped.</p>",
        own_note(minutes_ago=20),
        own_note(minutes_ago=-1_000),
        "Dossier 0199",
        "Dossier ffffffff-ffff-7fff-bfff-ffffffffffff",
        "Dossier 5f2b6e0e-6a44-4d3c-9b5e-0f5f6f1b1a11",
        own_note().replace("Dossier", "Casedossier-Dossier"),
    ],
)
def test_an_update_with_any_other_note_is_an_update(where: str, note: str) -> None:
    assert parse_json(about(where, note, event="ticket.updated")).kind == "ticket_updated"


@pytest.mark.parametrize("where", SHAPES)
@pytest.mark.parametrize(
    ("event", "kind"),
    [("created", "ticket_created"), ("resolved", "ticket_resolved"), ("", "ticket_created")],
)
def test_our_own_note_hides_nothing_but_an_update(where: str, event: str, kind: str) -> None:
    assert parse_json(about(where, own_note(), event=event)).kind == kind


@pytest.mark.parametrize("minutes_ago", [0.1, 10_000])
def test_a_ticket_whose_description_is_our_note_is_reread_when_updated_and_never_ignored(
    minutes_ago: float,
) -> None:
    note = own_note(minutes_ago=minutes_ago)
    flat = parse_json({**TEMPLATE, "event": "updated", "description": note})
    whole = parse_json({"event": "updated", "request": {**recorded(), "description": note}})
    assert [(each.kind, each.is_hint) for each in (flat, whole)] == [("ticket_updated", True)] * 2
    # A new ticket's text is its own, wherever it was copied from.
    new = parse_json({**TEMPLATE, "event": "created", "description": note})
    assert (new.kind, new.is_hint) == ("ticket_created", False)


def test_a_ticket_that_quotes_our_note_is_taken_as_it_is() -> None:
    quoting = own_note() + "<p>As said last time; it is back.</p>"
    event = parse_json({**TEMPLATE, "event": "updated", "description": quoting})
    assert (event.kind, event.is_hint) == ("ticket_updated", False)


def test_notes_nested_without_end_are_still_read() -> None:
    note: object = own_note()
    for _ in range(400):
        note = [{"inner": note}]
    assert parse_json({**TEMPLATE, "event": "updated", "notes": note}).kind == "ignored"
