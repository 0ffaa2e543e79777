import pytest

from services.synthesis import extractive
from services.synthesis.model import (
    Brief,
    Evidence,
    EvidenceId,
    EvidenceKind,
    Order,
    SectionKind,
    Usage,
    Verdict,
    WriterKind,
    words,
)
from services.synthesis.resolution import read_resolution
from services.synthesis.write import checked
from tests.synthesis.world import Incident, incidents

KNOWN = [each for each in incidents() if each != "10511"]
# What a technician has to read in the brief: of the cause, and of what to do first.
GIST = {
    "10501": ("3 mm gap instead of black mark", "PAUSE + CANCEL"),
    "10502": ("hadn't synced with Intune", "look at the expiry"),
    "10503": ("Orphaned session", "Open Files"),
    "10504": ("trailing space in the name", "vssadmin list writers"),
    "10505": ("SMTP AUTH", "Port 25"),
    "10506": ("transmit power at max", "Transmit power at most 14 dBm"),
    "10507": ("SIP ALG", "Clear SIP sessions"),
    "10508": ("Carrier replaced their SFTP server", "Confirm it by phone"),
    "10509": ("added on RTM-FW01 only", "diagnose vpn ike restart"),
    "10510": ("not the push registration", "Temporary Access Pass"),
}


def brief_of(order: Order) -> Brief:
    draft = extractive.draft(order.ticket, order.evidence, max_words=order.options.max_words)
    return checked(draft, order, writer=WriterKind.EXTRACTIVE, usage=Usage())


def said(brief: Brief, *kinds: SectionKind) -> str:
    return "\n".join(claim.text for kind in kinds for claim in brief.sections.get(kind, ()))


@pytest.fixture(params=KNOWN)
def incident(request: pytest.FixtureRequest) -> Incident:
    return incidents()[request.param]


def test_each_sample_incident_gets_a_brief_that_cites_what_is_expected(incident: Incident) -> None:
    cited = {(each.source, each.name) for each in brief_of(incident.order).cited}
    assert cited == {
        *(("history", each) for each in incident.tickets),
        *(("knowledge", each) for each in incident.articles),
        *(("network", each) for each in incident.assets),
    }


def test_each_brief_has_its_sections_in_order_and_at_most_500_words(incident: Incident) -> None:
    brief = brief_of(incident.order)
    assert list(brief.sections) == [
        kind for kind in SectionKind if incident.assets or kind is not SectionKind.NETWORK
    ]
    assert 60 <= brief.word_count <= 500


def test_each_claim_is_borne_out_by_what_it_cites(incident: Incident) -> None:
    brief = brief_of(incident.order)
    assert brief.dropped == ()
    for claims in brief.sections.values():
        assert claims
        for claim in claims:
            assert claim.evidence_ids
            assert claim.verdict is Verdict.SUPPORTED, claim.text


def test_each_brief_says_the_cause_and_what_to_do_first(incident: Incident) -> None:
    brief = brief_of(incident.order)
    cause, step = GIST[incident.id]
    assert cause in said(brief, SectionKind.PROBABLE_CAUSES)
    assert step in said(brief, SectionKind.FIRST_STEPS)


def test_no_claim_is_a_heading_only_or_has_markup_in_it(incident: Incident) -> None:
    titles = {each.title for each in incident.order.evidence}
    for claims in brief_of(incident.order).sections.values():
        for claim in claims:
            assert claim.text not in titles
            assert not claim.text.rstrip().endswith(":")
            assert not any(mark in claim.text for mark in ("**", "`", "## ", "|---", "\n"))


def test_no_two_sections_say_the_same_sentence(incident: Incident) -> None:
    brief = brief_of(incident.order)
    texts = [claim.text for claims in brief.sections.values() for claim in claims]
    assert len(set(texts)) == len(texts)
    steps = [claim.text for claim in brief.sections[SectionKind.FIRST_STEPS]]
    assert not any(step in text for text in texts for step in steps if step != text)


def test_a_past_tickets_claim_says_what_solved_it(incident: Incident) -> None:
    for claim in brief_of(incident.order).sections[SectionKind.SIMILAR_TICKETS]:
        (ticket,) = (e for e in incident.order.evidence if e.id in claim.evidence_ids)
        assert claim.text.startswith(f"#{ticket.name} {ticket.title}")
        assert read_resolution(ticket.resolution).fix[0].split(" (")[0] in claim.text


def test_every_brief_of_another_length_keeps_to_it(incident: Incident) -> None:
    for limit in (50, 120, 300):
        options = incident.order.options.__class__(language="en", model="", max_words=limit, instructions="")
        order = Order(
            incident.order.tenant,
            incident.order.request_id,
            b"",
            incident.order.ticket,
            incident.order.evidence,
            options,
        )
        brief = brief_of(order)
        assert 0 < brief.word_count <= limit
        assert not brief.nothing_similar


def test_the_eleventh_incident_has_nothing_similar() -> None:
    brief = brief_of(incidents()["10511"].order)
    assert brief.nothing_similar
    assert brief.sections == {}


def past_ticket(resolution: str, *, text: str = "The printer is dead.", score: float = 0.4) -> Evidence:
    return Evidence(
        id=EvidenceId(f"history:{abs(hash((resolution, text, score)))}"),
        kind=EvidenceKind.PAST_TICKET,
        source="history",
        title="Printer dead",
        text=text,
        resolution=resolution,
        url="",
        score=score,
    )


def of(*evidence: Evidence) -> Brief:
    sample = incidents()["10501"].order
    return brief_of(
        Order(sample.tenant, sample.request_id, b"", sample.ticket, tuple(evidence), sample.options)
    )


def test_a_past_ticket_without_a_resolution_is_told_as_reported() -> None:
    (claim,) = of(past_ticket("")).sections[SectionKind.SIMILAR_TICKETS]
    assert claim.text.endswith("Printer dead. Without a recorded solution. The printer is dead.")


def test_what_is_only_half_as_near_as_the_best_is_left_out() -> None:
    brief = of(past_ticket("Replaced the fuser unit."), past_ticket("Ordered new toner.", score=0.19))
    assert len(brief.sections[SectionKind.SIMILAR_TICKETS]) == 1


@pytest.mark.parametrize(
    ("note", "cause", "fix"),
    [
        ("Cause: disk full.\nDeleted 40 GB of logs. - SV", ("disk full.",), ("Deleted 40 GB of logs.",)),
        ("Restarted the spooler. OK. KB-012. TH", (), ("Restarted the spooler.",)),
        (
            "The lease ran out. On RTM-DC01: widened the scope to .229.",
            ("The lease ran out.",),
            ("On RTM-DC01: widened the scope to .229.",),
        ),
        (
            "Interface came up at half duplex. Both sides to auto now.",
            ("Interface came up at half duplex.",),
            ("Both sides to auto now.",),
        ),
        (
            "The cable was loose, approx. 15 ports. Reseated all of it.\n\nWork log: 08:00 rode along.",
            ("The cable was loose, approx. 15 ports.",),
            ("Reseated all of it.",),
        ),
        ("", (), ()),
        ("done. PK", (), ()),
    ],
)
def test_a_technicians_note_is_taken_apart(note: str, cause: tuple[str, ...], fix: tuple[str, ...]) -> None:
    resolution = read_resolution(note)
    assert (resolution.cause, resolution.fix) == (cause, fix)


def test_a_text_without_spaces_does_not_become_an_endless_claim() -> None:
    brief = of(past_ticket("数据库" * 20_000, text="打印机" * 20_000))
    assert all(len(claim.text) <= 4096 for claims in brief.sections.values() for claim in claims)
    assert words(said(brief, *SectionKind)) <= 500
