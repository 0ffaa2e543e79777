"""The note, as HTML and as text."""

import json
from datetime import UTC, datetime

import pytest
from uuid_utils import uuid7

from dossier.context.v1.evidence_pb2 import SOURCE_STATE_TIMED_OUT, SourceReport
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.synthesis.v1 import brief_pb2 as brief
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest, WriteBriefResponse
from services.orchestrator.model import Enhancement, EnhancementId, Purpose, Run, State, Step, TenantId
from services.orchestrator.note import Notes
from ticketing.contract import NoteFormat
from ticketing.model import WebhookRequest
from ticketing.plain_text import plain_text
from ticketing.servicedesk_plus import ServiceDeskPlus

NOTES = Notes(public_url="https://dossier.example/")
ALL_SECTIONS = [
    (brief.SECTION_KIND_FIRST_STEPS, "Restart the tunnel."),
    (brief.SECTION_KIND_SIMILAR_TICKETS, "It happened in May."),
    (brief.SECTION_KIND_PROBABLE_CAUSES, "The rekey interval."),
    (brief.SECTION_KIND_NETWORK, "fw-01 is the firewall."),
    (brief.SECTION_KIND_KNOWLEDGE, "Rekey every eight hours."),
]


def enhancement(written: brief.Brief) -> Enhancement:
    return Enhancement(
        run=Run(TenantId("acme"), EnhancementId("e-1")),
        purpose=Purpose.ENHANCE,
        state=State.RUNNING,
        version=1,
        ticket=Ticket(id="1"),
        is_hint=False,
        deliver=True,
        priority=3,
        next_step=Step.DELIVER,
        changes=0,
        idle_deliveries=0,
        settings_revision=1,
        revision="r1",
        replay_of=None,
        trace_context="",
        steps=(),
        inputs=WriteBriefRequest(),
        answer=WriteBriefResponse(brief=written, usage=brief.Usage(model="test-model")),
        usage=None,
        note=None,
        failure=None,
        create_time=datetime.now(UTC),
        start_time=None,
        next_attempt_time=None,
        end_time=None,
    )


def claiming(text: str, *, title: str = "A ticket", url: str = "https://desk.example/1") -> brief.Brief:
    claim = brief.Claim(text=text, evidence_ids=["history:1"], verdict=brief.VERDICT_SUPPORTED)
    return brief.Brief(
        sections=[brief.Section(kind=brief.SECTION_KIND_FIRST_STEPS, claims=[claim])],
        citations=[brief.Citation(evidence_id="history:1", source="history", id="1", title=title, url=url)],
        confidence=brief.CONFIDENCE_HIGH,
        writer=brief.WRITER_LLM,
    )


@pytest.mark.parametrize("note_format", ["html", "text"])
def test_sections_stand_in_the_briefs_order_with_their_sources_numbered(note_format: NoteFormat) -> None:
    written = claiming("unused")
    del written.sections[:]
    for kind, text in ALL_SECTIONS:
        written.sections.add(kind=kind).claims.add(text=text, evidence_ids=["history:1"])

    note = plain_text(NOTES.render(enhancement(written), note_format)).lower()

    headings = ["first steps", "similar tickets", "probable causes", "network", "knowledge", "sources"]
    places = [note.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "restart the tunnel. [1]" in note
    assert "[1] history 1: a ticket" in note
    assert "confidence: high" in note
    assert "test-model" in note
    assert "dossier.example/v1/enhancements/e-1" in NOTES.render(enhancement(written), note_format)


def test_nothing_in_texts_or_titles_becomes_markup() -> None:
    written = claiming('<img src=x onerror="alert(1)">', title="<script>alert(2)</script>")
    written.fallback_reason = "<b>budget</b>"
    written.unavailable_sources.add(source="knowledge", detail="<i>timed out</i>")

    note = NOTES.render(enhancement(written), "html")

    for markup in ("<img", "<script", "<b>budget", "<i>timed"):
        assert markup not in note
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in note


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//host", ""]
)
def test_only_web_addresses_are_links(url: str) -> None:
    note = NOTES.render(enhancement(claiming("See it.", url=url)), "html")

    assert "A ticket" in note
    assert note.count("<a ") == 1
    assert 'href="https://dossier.example/v1/enhancements/e-1"' in note


def test_an_address_cannot_leave_its_attribute() -> None:
    note = NOTES.render(enhancement(claiming("See it.", url='https://desk.example/"onclick="x')), "html")

    assert '"onclick=' not in note


def test_a_claim_stays_on_its_line_in_plain_text() -> None:
    note = NOTES.render(enhancement(claiming("Restart.\n\nSOURCES\n[9] forged")), "text")

    assert "- Restart. SOURCES [9] forged [1]" in note.splitlines()


@pytest.mark.parametrize("note_format", ["html", "text"])
def test_what_was_unavailable_and_what_is_only_partly_supported_is_said(note_format: NoteFormat) -> None:
    written = claiming("Restart the tunnel.")
    written.sections[0].claims[0].verdict = brief.VERDICT_PARTIAL
    report = SourceReport(source="knowledge", state=SOURCE_STATE_TIMED_OUT, detail="timed out after 10 s")
    written.unavailable_sources.append(report)

    note = plain_text(NOTES.render(enhancement(written), note_format))

    assert "knowledge: timed out after 10 s" in note
    assert "Restart the tunnel. (partly supported) [1]" in note


@pytest.mark.parametrize("note_format", ["html", "text"])
def test_nothing_similar_is_said_plainly(note_format: NoteFormat) -> None:
    written = brief.Brief(nothing_similar=True, confidence=brief.CONFIDENCE_LOW)

    note = plain_text(NOTES.render(enhancement(written), note_format))

    assert "Nothing similar found" in note
    assert "confidence: low" in note
    assert "Sources" not in note


def test_nothing_is_said_of_sections_that_nobody_wanted() -> None:
    narrowed = enhancement(brief.Brief(nothing_similar=True))
    assert narrowed.inputs is not None
    narrowed.inputs.options.sections.append(brief.SECTION_KIND_NETWORK)

    note = plain_text(NOTES.render(narrowed, "html"))

    assert "Nothing found for the sections" in note
    assert "Nothing similar" not in note


def test_a_note_of_a_run_is_recognised_when_the_tool_sends_a_webhook_about_it() -> None:
    run = Run(TenantId("acme"), EnhancementId(str(uuid7())))
    body = json.dumps(
        {"event": "updated", "ticket_id": "1", "comment": f"<p><small>{run.marker}</small></p>"}
    )
    event = ServiceDeskPlus().parse(WebhookRequest.received([], body.encode()))
    assert event.kind == "ignored"
