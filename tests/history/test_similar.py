"""Searching: what is found, why, and what never is."""

import time
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.history.client import Client

FILLER = [
    "Outlook asks for the password again and again",
    "VPN drops after ten minutes at home",
    "New laptop for the colleague who starts Monday",
    "Shared mailbox missing after migration",
    "Monitor flickers when docked",
    "Cannot open the invoice archive",
    "Teams microphone too quiet in meetings",
    "Phone shows no network since the update",
    "File share full, cannot save drawings",
    "Badge reader at the back door is dead",
]

NOW = Timestamp(seconds=int(time.time()))
LONG_AGO = Timestamp(seconds=1546300800)


async def fill(client: Client) -> None:
    await client.import_(*(PastTicket(id=f"filler-{at}", title=title) for at, title in enumerate(FILLER)))


def asks(subject: str, **more: object) -> pb.SearchSimilarTicketsRequest:
    return pb.SearchSimilarTicketsRequest(subject=subject, **more)  # type: ignore[arg-type]


async def test_the_same_problem_in_other_words_comes_first_and_says_why(acme: Client) -> None:
    await fill(acme)
    await acme.record(
        PastTicket(id="1", title="Spooler crashes on FRA-PRN-02", description="Printing stops for all users.")
    )

    [best, *_] = await acme.search(asks("Nobody can print", description="The spooler on fra-prn-02 crashed"))

    assert best.ticket.id == "1"
    assert {"fra-prn-02", "spooler", "crashed", "print"} <= set(best.explanation.matched_terms)
    assert 0 < best.explanation.lexical_score <= best.score <= 1
    assert best.explanation.boosts == []


async def test_a_verbatim_copy_is_nearly_sure_and_something_else_is_nothing(acme: Client) -> None:
    await fill(acme)
    text = "Label printer in the cold store prints empty labels after the ribbon was changed"
    await acme.record(PastTicket(id="1", title=text, description="Ribbon brand changed last week"))

    [best] = await acme.search(asks(text, description="Ribbon brand changed last week"))

    assert best.score > 0.75
    assert await acme.found("The coffee machine drips", "Water everywhere, call a plumber") == []


async def test_the_ticket_itself_is_left_out(acme: Client) -> None:
    await fill(acme)
    text = "Label printer in the cold store prints empty labels"
    for source in ("jira", "zendesk"):
        await acme.record(PastTicket(id="1", source=source, title=text))
    await acme.record(PastTicket(id="2", source="jira", title=text))

    def keys(results: list[pb.SimilarTicket]) -> set[tuple[str, str]]:
        return {(result.ticket.source, result.ticket.id) for result in results}

    anywhere = await acme.search(asks(text, exclude=[pb.TicketReference(id="1")]))
    at_one = await acme.search(
        asks(text, exclude=[pb.TicketReference(id="1", source="jira")], ungrouped=True)
    )

    assert keys(anywhere) == {("jira", "2")}
    assert keys(at_one) == {("zendesk", "1"), ("jira", "2")}


async def test_the_same_asset_and_a_known_resolution_raise_a_ticket(acme: Client) -> None:
    await fill(acme)
    text = "Label printer prints empty labels"
    await acme.import_(
        PastTicket(id="plain", title=text),
        PastTicket(id="solved", title=text, resolution="Calibrated"),
        PastTicket(id="same", title=text, assets=["PRN-02"]),
        PastTicket(id="both", title=text, resolution="Calibrated", assets=["prn-02"]),
    )

    results = await acme.search(asks(text, assets=["Prn-02"], ungrouped=True))

    assert [result.ticket.id for result in results] == ["both", "same", "solved", "plain"]
    assert [list(result.explanation.boosts) for result in results] == [
        ["same_asset", "resolved"],
        ["same_asset"],
        ["resolved"],
        [],
    ]
    assert results[0].score > results[0].explanation.lexical_score
    assert results[3].score == results[3].explanation.lexical_score


@pytest.mark.parametrize(
    ("alike", "asked", "boost"),
    [
        ({"site": "Fulda "}, {"site": "FULDA"}, "same_site"),
        ({"organisation": "Acme GmbH"}, {"organisation": "acme gmbh"}, "same_organisation"),
        ({"resolve_time": NOW}, {}, "recent"),
        ({"create_time": NOW}, {}, "recent"),
    ],
    ids=["site", "organisation", "resolved just now", "created just now"],
)
async def test_what_else_a_ticket_shares_raises_it_a_little(
    acme: Client, alike: dict[str, Any], asked: dict[str, Any], boost: str
) -> None:
    await fill(acme)
    text = "Label printer prints empty labels"
    await acme.import_(
        PastTicket(id="a", title=text),
        PastTicket(id="b", title=text, **alike),
        PastTicket(id="c", title=text, site="Kassel", organisation="Globex", create_time=LONG_AGO),
    )

    first, *others = await acme.search(asks(text, ungrouped=True, **asked))

    assert first.ticket.id == "b"
    assert list(first.explanation.boosts) == [boost]
    assert 1 < first.score / others[0].score < 1.05
    assert [list(each.explanation.boosts) for each in others] == [[], []]
    assert others[0].score == others[1].score


async def test_a_site_that_neither_names_is_not_shared(acme: Client) -> None:
    await fill(acme)
    await acme.record(PastTicket(id="1", title="Label printer prints empty labels"))

    [found] = await acme.search(asks("Label printer prints empty labels", site=" ", organisation=""))

    assert list(found.explanation.boosts) == []


async def test_site_and_organisation_are_kept_and_a_change_of_them_counts(acme: Client) -> None:
    ticket = PastTicket(id="1", title="Label printer", site="Fulda", organisation="Acme GmbH")
    await acme.record(ticket)
    ticket.site = "Kassel"
    report = await acme.import_(ticket)

    kept = await acme.get("1")

    assert (kept.site, kept.organisation) == ("Kassel", "Acme GmbH")
    assert report.updated_count == 1
    assert (await acme.import_(ticket)).unchanged_count == 1


NOTE_MARKER = "Dossier 019349a1-7c2e-7b1c-9f00-5d1f8f1b2c3d"


@pytest.mark.parametrize(
    "ours",
    [
        PastTicket(id="1", source="dossier", title="Label printer prints empty labels"),
        PastTicket(
            id="1",
            title="Label printer prints empty labels",
            description=f"Probable cause: labels.\n{NOTE_MARKER}",
        ),
    ],
    ids=["source", "marker"],
)
async def test_what_dossier_wrote_is_kept_but_never_evidence(acme: Client, ours: PastTicket) -> None:
    await fill(acme)
    await acme.record(ours)

    assert await acme.found("Label printer prints empty labels") == []
    assert (await acme.get("1")).title == ours.title


async def test_a_ticket_that_only_its_boosts_lift_to_the_floor_is_found(acme: Client) -> None:
    await fill(acme)
    text = "Label printer prints empty labels"
    await acme.import_(
        PastTicket(id="plain", title=text),
        PastTicket(id="both", title=text, resolution="Calibrated", assets=["prn-02"]),
    )
    best, *_ = await acme.search(asks(text, assets=["PRN-02"]))

    at_the_floor = await acme.search(asks(text, assets=["PRN-02"], min_score=best.score))
    above_it = await acme.search(asks(text, assets=["PRN-02"], min_score=best.score + 1e-4))

    assert best.explanation.lexical_score < best.score < 1
    assert [result.ticket.id for result in at_the_floor] == ["both"]
    assert above_it == []


async def test_a_resolution_that_is_dossiers_own_note_solves_nothing(acme: Client) -> None:
    await fill(acme)
    await acme.record(
        PastTicket(
            id="1",
            title="Label printer prints empty labels",
            resolution=f"Perhaps the humidifier is broken.\n{NOTE_MARKER}",
        )
    )

    [found] = await acme.search(asks("Label printer prints empty labels"))

    assert found.explanation.boosts == []
    assert await acme.found("humidifier broken") == []


async def test_a_ticket_is_found_by_what_solved_it(acme: Client) -> None:
    await fill(acme)
    await acme.record(PastTicket(id="1", title="Slow", resolution="Removed the hprof heap dumps from D:"))

    assert await acme.found("hprof heap dump") == ["1"]


async def test_a_changed_ticket_is_found_by_its_new_text_only(acme: Client) -> None:
    await fill(acme)
    await acme.record(PastTicket(id="1", title="Label printer prints empty labels"))
    await acme.record(PastTicket(id="1", title="Scanner loses wireless roaming"))

    assert await acme.found("Label printer prints empty labels") == []
    assert await acme.found("Scanner loses wireless roaming") == ["1"]


async def test_the_limit_and_the_least_score_are_the_callers(acme: Client) -> None:
    await fill(acme)
    await acme.import_(
        *(PastTicket(id=str(number), title="Label printer prints empty labels") for number in range(9))
    )

    assert len(await acme.search(asks("Label printer prints empty labels", ungrouped=True))) == 5
    assert len(await acme.search(asks("Label printer prints empty labels", ungrouped=True, limit=7))) == 7
    assert await acme.search(asks("Label printer prints empty labels", min_score=1.0)) == []
    weak = await acme.search(asks("Printer and a hundred other unheard matters", min_score=0.0))
    assert weak
    assert weak[0].score < 0.18


async def test_the_counts_of_words_follow_every_change(acme: Client) -> None:
    """Rarity is what ranking stands on: were deleted tickets still counted, a rare word would seem common."""
    await fill(acme)
    for _ in range(3):
        await acme.import_(*(PastTicket(id=f"gone-{at}", title="Zebra jam") for at in range(30)))
        for at in range(30):
            await acme.delete(f"gone-{at}")
    await acme.record(PastTicket(id="1", title="Zebra jam in the tray of the warehouse printer"))

    [kept] = await acme.search(asks("zebra jam"))
    await acme.delete("1")
    await acme.record(PastTicket(id="1", title="Zebra jam in the tray of the warehouse printer"))
    [again] = await acme.search(asks("zebra jam"))

    assert kept.score == again.score > 0.3
