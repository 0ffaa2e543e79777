"""`dossier evaluate retrieval --own`: judged by what a client's past tickets say of each other, and kept."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.evaluating.foreign import foreign_questions
from cli.evaluating.measures import abstention, differences
from cli.evaluating.own import labelled, own_ticket
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.support.command import Command

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def ticket(ticket_id: str, day: int | None, **told: object) -> PastTicket:
    made = PastTicket(**{"id": ticket_id, "source": "desk", "title": f"Ticket {ticket_id}"} | told)  # type: ignore[arg-type]
    if day is not None:
        made.create_time.FromDatetime(BEGIN + timedelta(days=day))
    return made


def qrels_of(*tickets: PastTicket, latest: float = 1, most: int = 100) -> Mapping[str, set[str]]:
    labels = labelled(list(map(own_ticket, tickets)), latest=latest, most=most, seed=0)
    assert {each.id for each in labels.queries} == labels.qrels.keys()
    return {query: set(documents) for query, documents in labels.qrels.items()}


@pytest.mark.parametrize(
    "told",
    [
        {"description": "As INC-7 again."},
        {"resolution": "duplicate of inc-7"},
        {"tags": ["INC-7"]},
        {"title": "Same as (INC-7)?"},
    ],
)
def test_a_ticket_that_names_an_older_one_is_right_for_it(told: Mapping[str, object]) -> None:
    assert qrels_of(ticket("INC-7", 1), ticket("INC-9", 2, **told)) == {"desk/INC-9": {"desk/INC-7"}}


def test_an_older_one_that_names_the_later_counts_and_the_later_is_never_found() -> None:
    older, later = ticket("INC-7", 1, resolution="See INC-9, same root cause"), ticket("INC-9", 2)

    assert qrels_of(older, later) == {"desk/INC-9": {"desk/INC-7"}}


def test_a_number_is_a_reference_only_where_a_word_says_so() -> None:
    older = ticket("4711", 1)
    said = ["duplicate of #4711", "see ticket 4711", "Request no. 4711"]
    not_said = ["printed 4711 pages", "10.4711.3", "INC-4711", "see 47110"]

    for text in said:
        assert qrels_of(older, ticket("9", 2, description=text)) == {"desk/9": {"desk/4711"}}, text
    for text in not_said:
        assert qrels_of(older, ticket("9", 2, description=text)) == {}, text


def test_the_same_resolution_is_a_label_unless_it_says_too_little_or_is_a_set_phrase() -> None:
    solved = "Cleared the spooler of FRA-PRN-02 and restarted it."
    again = "restarted it, and cleared the spooler of fra-prn-02"
    same = [ticket("a", 1, resolution=solved), ticket("b", 2, resolution=again)]
    little = [ticket(name, day, resolution="Closed") for day, name in enumerate("cd", start=3)]
    phrase = [ticket(f"p{day}", day, resolution="User confirmed issue solved") for day in range(5, 26)]

    labels = labelled(list(map(own_ticket, [*same, *little, *phrase])), latest=1, most=100, seed=0)

    assert {query: set(each) for query, each in labels.qrels.items()} == {"desk/b": {"desk/a"}}
    assert (labels.linked_pairs, labels.same_resolution_pairs, labels.set_phrases) == (0, 1, 1)


def test_only_the_latest_ask_and_no_more_than_wanted() -> None:
    tickets = [ticket(f"INC-{day}", day, description=f"As INC-{day - 1}") for day in range(1, 11)]

    assert qrels_of(*tickets, latest=0.2).keys() == {"desk/INC-9", "desk/INC-10"}
    assert len(qrels_of(*tickets, most=3)) == 3
    assert qrels_of(*tickets, most=3) == qrels_of(*tickets, most=3)
    assert qrels_of(ticket("INC-1", None), ticket("INC-2", None, description="INC-1")) == {}


def test_saying_nothing_is_measured_by_how_often_it_was_right() -> None:
    measured = abstention([True, False, False, False], [True, True, True, False])

    assert (measured["precision"].mean, measured["recall"].mean) == (0.75, 0.75)
    assert abstention([False], [False]).keys() == {"recall"}


def test_a_difference_of_chance_is_told_from_one_that_is_none() -> None:
    names = [str(number) for number in range(40)]
    base = {"map": dict.fromkeys(names, 0.5)}
    always = {"map": dict.fromkeys(names, 0.6)}
    either_way = {"map": {name: 0.5 + (0.3 if int(name) % 2 else -0.3) for name in names}}
    few = {"map": dict.fromkeys(names[:4], 0.6)}

    assert differences(always, base)["map"].p_value < 0.001
    assert differences(either_way, base)["map"].p_value > 0.5
    assert differences(base, base)["map"].p_value == 1
    # Four throws of a coin come out alike in two of sixteen cases.
    assert differences(few, base)["map"].p_value == 0.125
    assert differences(either_way, base) == differences(either_way, base)


def test_a_difference_is_paired_by_query() -> None:
    others = {"map": {str(number): number / 100 for number in range(100)}}
    better = {"map": {query: value + 0.01 for query, value in others["map"].items()}}

    measured = differences(better, others)["map"]

    assert [measured.low, measured.mean, measured.high] == pytest.approx([0.01] * 3)
    assert differences(others, better)["map"].high < 0


INCIDENTS = {
    "Plotter smears magenta": "Drawings have a magenta streak of ink.",
    "Turnstile rejects visitor badges": "Reception lets guests in by hand.",
    "Beamer flickers in the auditorium": "Whenever the lights are dimmed.",
    "Franking machine jams": "Envelopes crumple in the feeder.",
}


def corpus() -> Sequence[Mapping[str, object]]:
    """Each incident twice, later by reference and unlike enough that somebody has to find it."""
    rows = []
    for number, (title, description) in enumerate(INCIDENTS.items(), start=1):
        first, second = f"INC-{number}", f"INC-{number + 10}"
        created = [(BEGIN + timedelta(days=day)).isoformat() for day in (number, number + 10)]
        rows.append({"id": first, "title": title, "description": description, "created": created[0]})
        rows.append(
            {
                "id": second,
                "title": description,
                "resolution": f"Duplicate of {first}",
                "created": created[1],
            }
        )
        # Later than what asks, and likelier: were it not left out, it would be the first.
        rows.append({"id": f"LATER-{number}", "title": description, "created": "2026-06-01T00:00:00Z"})
    return rows


def test_a_client_is_measured_by_its_own_tickets_and_it_is_kept(on_mesh: Command, tmp_path: Path) -> None:
    tenant = "evaluates-itself"
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in corpus()))
    assert on_mesh("tenant", "create", tenant).code == 0
    assert on_mesh("import", "tickets", str(path), DOSSIER_TENANT=tenant).code == 0
    own = ("evaluate", "retrieval", "--own", "--latest", "1")

    done = on_mesh(*own, "--compare", "0", "--floor", "0.3", "--json", DOSSIER_TENANT=tenant)
    shown = on_mesh(*own, "--no-record", DOSSIER_TENANT=tenant)
    kept = on_mesh("evaluate", "history", "--json", DOSSIER_TENANT=tenant)

    assert done.code == 0, done.problems
    assert done.object["queries"] == 4
    assert done.object["labels"]["linked_pairs"] == 4
    assert done.object["labels"]["too_few"] is True
    assert done.object["metrics"]["mrr"] == 1
    assert done.object["compared"]["meaning_share"] == 0
    # Neither has an answer outside the ticket's own incident: each is a topic by the words of its title.
    topics = done.object["held_out_topics"]
    assert topics["queries"] > 0
    assert (topics["undecided"], topics["categories"]) == (0, 0)
    compared = done.object["compared"]
    assert compared["floor"] == 0.3
    assert compared["differences"].keys() == compared["p_values"].keys()
    assert done.object["metrics"].keys() < compared["differences"].keys()
    assert all(0 <= each <= 1 for each in compared["p_values"].values())
    assert done.object["abstention"]["queries"] == len(foreign_questions()) >= 30
    assert done.object["abstention"]["recall"] > 0.5
    assert "4 references" in shown.out
    assert "better by" not in shown.out
    (evaluation,) = kept.object["evaluations"]
    assert evaluation["basis"] == "own_tickets"
    assert evaluation["queries"] == 4
    assert evaluation["ranking"] == {"meaning_share": 0.5862, "floor": 0.3}
    assert evaluation["metrics"]["mrr"] == 1
    assert on_mesh("evaluate", "history", DOSSIER_TENANT=tenant).out.count("own tickets  4") == 1


def test_a_client_whose_tickets_say_nothing_of_each_other_is_told_so(
    on_mesh: Command, tmp_path: Path
) -> None:
    tenant = "says-nothing"
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "INC-1", "title": "Alone", "created": "2026-01-01T00:00:00Z"}\n')
    assert on_mesh("tenant", "create", tenant).code == 0

    empty = on_mesh("evaluate", "retrieval", "--own", "--json", DOSSIER_TENANT=tenant)
    assert on_mesh("import", "tickets", str(path), DOSSIER_TENANT=tenant).code == 0
    done = on_mesh("evaluate", "retrieval", "--own", "--json", DOSSIER_TENANT=tenant)

    assert empty.error["message"] == f"{tenant} has no past tickets to judge by."
    assert f"dossier import tickets FILE -t {tenant}" in empty.error["hint"]
    assert done.code != 0
    assert "say nothing of each other" in done.error["message"]
    assert "--qrels" in done.error["hint"]


def test_two_floors_are_compared_by_what_they_let_through(on_mesh: Command, tmp_path: Path) -> None:
    tenant = "compares-floors"
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in corpus()))
    assert on_mesh("tenant", "create", tenant).code == 0
    assert on_mesh("import", "tickets", str(path), DOSSIER_TENANT=tenant).code == 0
    own = ("evaluate", "retrieval", "--own", "--latest", "1", "--no-record", "--floor", "0.01")

    done = on_mesh(*own, "--compare-floor", "1", "--json", DOSSIER_TENANT=tenant)
    same = on_mesh(*own, "--compare-floor", "0.01", "--json", DOSSIER_TENANT=tenant)
    shown = on_mesh(*own, "--compare-floor", "1", DOSSIER_TENANT=tenant)

    assert done.code == 0, done.problems
    compared = done.object["compared"]
    assert (compared["floor"], compared["meaning_share"]) == (1, done.object["ranking"]["meaning_share"])
    # The order is that of one search; what is said is not.
    assert compared["differences"]["map"] == 0
    assert compared["p_values"]["map"] == 1
    assert compared["abstention"]["recall"] == 1
    foreign = done.object["abstention"]["queries"]
    assert compared["answered_rightly"] == round(foreign / (foreign + 4), 4)
    better = done.object["answered_rightly"]["mean"] - compared["answered_rightly"]
    assert compared["differences"]["answered_rightly"] == pytest.approx(better, abs=2e-4)
    assert 0 < better < 0.2 < compared["p_values"]["abstention_recall"]
    assert "compare with themselves" in same.error["message"]
    assert "better by" in shown.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Judged by what?"),
        (("--queries", "x"), "Judged by what?"),
        (("--own", "--queries", "x"), "--own and --queries exclude each other."),
        (("--own", "--qrels", "x"), "--own and --qrels exclude each other."),
        (
            ("--own", "--queries", "x", "--qrels", "y"),
            "--own and --queries and --qrels exclude each other.",
        ),
        (("--own", "--kind", "articles"), "--own judges tickets only."),
    ],
)
@pytest.mark.parametrize("verb", ["retrieval", "tune"])
def test_it_must_be_clear_what_judges(
    command: Command, verb: str, arguments: Sequence[str], told: str
) -> None:
    done = command("evaluate", verb, *arguments, "--json")

    assert done.code != 0
    assert done.error["message"] == told
