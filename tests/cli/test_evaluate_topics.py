"""Topics held out: what is asked of one has no answer, and the running service had better give none."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.evaluating.asking import Answers, Kind, answers
from cli.evaluating.judgements import Query
from cli.evaluating.own import own_ticket
from cli.evaluating.topics import HeldOut, held_out
from dossier.history.v1.past_ticket_pb2 import PastTicket
from tests.support.command import Command
from tests.support.mesh import Mesh

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_NAMES = (
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliett",
    "kilo",
    "lima",
)


def ticket(ticket_id: str, day: int, title: str, *, category: str = "", description: str = "") -> PastTicket:
    made = PastTicket(id=ticket_id, source="desk", title=title, category=category, description=description)
    made.create_time.FromDatetime(BEGIN + timedelta(days=day))
    return made


def drawn(tickets: Sequence[PastTicket], *, latest: float = 1, most: int = 100, seed: int = 0) -> HeldOut:
    return held_out(list(map(own_ticket, tickets)), latest=latest, most=most, seed=seed)


def topics(found: HeldOut) -> Mapping[str, set[str]]:
    return {each.id: set(each.held_out) for each in found.queries}


def unlike(count: int) -> Sequence[PastTicket]:
    """Older ones, of no topic."""
    return [ticket(f"o{at}", at, f"{name}ish{at}") for at, name in enumerate(_NAMES[:count])]


def test_a_category_is_held_out_whole_and_so_is_a_word_of_titles_where_there_is_none() -> None:
    printers = [ticket(f"p{day}", day, f"Unlike{day}", category=" Print ing") for day in (50, 51)]
    badges = [ticket(f"b{day}", day, f"Badge refused{day}") for day in (60, 61, 62)]

    found = drawn([*unlike(10), *printers, *badges], latest=0.35)

    whole = ({"desk/p50", "desk/p51"}, {"desk/b60", "desk/b61", "desk/b62"})
    assert topics(found) == {asks: topic for topic in whole for asks in topic}
    assert (found.categories, found.title_words) == (1, 1)


def test_a_category_of_most_tickets_is_no_topic() -> None:
    tickets = [
        ticket(f"t{day}", day, f"{_NAMES[day]} {_NAMES[day]}x", category="Incident") for day in range(12)
    ]

    assert not drawn(tickets).queries


def test_what_has_an_answer_outside_its_topic_does_not_ask() -> None:
    elsewhere = ticket("INC-1", 0, "Unheard", category="a")
    names_it = ticket("INC-2", 90, "Anything", category="b", description="As INC-1")
    within = [
        ticket("INC-3", 91, "Something", category="c"),
        ticket("INC-4", 92, "Somehow", category="c", description="Duplicate of INC-3"),
    ]

    found = topics(drawn([elsewhere, *unlike(10), names_it, *within], latest=0.25))

    assert found.keys() == {"desk/INC-3", "desk/INC-4"}


def test_what_came_before_all_else_does_not_ask() -> None:
    first, later = ticket("a", 0, "Whatever", category="x"), ticket("b", 100, "Whichever", category="y")

    assert topics(drawn([first, *unlike(5), later])).keys() == {"desk/b"}


def test_topics_take_turns_and_the_same_are_drawn_every_time() -> None:
    large = [ticket(f"l{day}", day, f"l{day}", category="large") for day in range(20, 40)]
    small = [ticket(f"s{day}", day, f"s{day}", category="small") for day in (41, 42)]
    tickets = [*unlike(12), *large, *small, *[ticket(f"z{day}", day, f"z{day}") for day in range(50, 60)]]

    four = drawn(tickets, most=4)

    assert sorted(each.id[5] for each in four.queries) == ["l", "l", "s", "s"]
    assert drawn(tickets, most=4) == four
    assert drawn(tickets, most=4, seed=1) != four


def imported(on_mesh: Command, tenant: str, path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert on_mesh("tenant", "create", tenant).code == 0
    done = on_mesh("import", "tickets", str(path), DOSSIER_TENANT=tenant)
    assert done.code == 0, done.problems


def row(ticket_id: str, day: int, title: str, **told: str) -> Mapping[str, str]:
    created = (BEGIN + timedelta(days=day)).isoformat()
    return {"id": ticket_id, "title": title, "created": created, **told}


def asked(mesh: Mesh, tenant: str, *queries: Query) -> Answers:
    return asyncio.run(
        answers(
            mesh.instance,
            Kind.TICKETS,
            queries,
            tenant=tenant,
            meaning_share=0,
            advance=lambda _: None,
        )
    )


def test_what_is_beyond_a_topic_larger_than_an_answer_is_seen(
    on_mesh: Command, mesh: Mesh, tmp_path: Path
) -> None:
    tenant = "holds-out-many"
    topic = [f"INC-{number}" for number in range(1, 151)]
    rows = [
        row("LOBBY", 0, "Paper jam"),
        *[
            row(each, 10 + at, "Paper jam in the printer again", category="print")
            for at, each in enumerate(topic)
        ],
    ]
    imported(on_mesh, tenant, tmp_path / "corpus.jsonl", rows)
    held = frozenset(f"import/{each}" for each in topic)

    def query(held_out: frozenset[str]) -> Query:
        return Query("import/INC-150", "", "", ticket=("import", "INC-150"), held_out=held_out)

    (seen,) = asked(mesh, tenant, query(held)).values()
    assert [each.document for each in seen] == ["import/LOBBY"]
    # Without it, the topic itself would have been the answer.
    (everything,) = asked(mesh, tenant, query(frozenset())).values()
    assert {each.document for each in everything} <= held
    assert len(everything) == 100


def test_where_all_that_is_in_reach_is_held_out_nothing_is_claimed(
    on_mesh: Command, mesh: Mesh, tmp_path: Path
) -> None:
    tenant = "holds-out-all"
    topic = [f"INC-{number}" for number in range(1, 251)]
    rows = [row("LOBBY", 0, "Jam"), *[row(each, 10 + at, "Paper jam again") for at, each in enumerate(topic)]]
    imported(on_mesh, tenant, tmp_path / "corpus.jsonl", rows)
    held = frozenset(f"import/{each}" for each in topic)

    unanswered = asked(
        mesh, tenant, Query("import/INC-250", "", "", ticket=("import", "INC-250"), held_out=held)
    )

    assert unanswered == {}


def test_a_client_is_told_how_often_nothing_is_said_of_topics_held_out(
    on_mesh: Command, tmp_path: Path
) -> None:
    tenant = "holds-out-topics"
    things = {
        "print": "Plotter smears magenta",
        "doors": "Turnstile rejects badges",
        "rooms": "Beamer flickers",
    }
    rows = []
    for number, (category, title) in enumerate(things.items()):
        rows.append(row(f"INC-{number}", number, title, category=category))
        again = {"resolution": f"Duplicate of INC-{number}", "category": category}
        rows.append(row(f"INC-{number + 10}", number + 10, f"{title} again", **again))
    # It resembles one that is held out, and is of another category: to that one something would be said.
    rows.append(row("INC-20", 3, "Plotter smears magenta again", category="other"))
    imported(on_mesh, tenant, tmp_path / "corpus.jsonl", rows)

    done = on_mesh(
        *("evaluate", "retrieval", "--own", "--latest", "0.43", "--meaning-share", "0", "--json"),
        DOSSIER_TENANT=tenant,
    )
    kept = on_mesh("evaluate", "history", "--json", DOSSIER_TENANT=tenant).object["evaluations"][0]

    assert done.code == 0, done.problems
    told = done.object["held_out_topics"]
    assert (told["queries"], told["undecided"], told["categories"], told["title_words"]) == (3, 0, 3, 0)
    assert told["recall"] == round(2 / 3, 4)
    # The same three tickets have answers while their topics are there, and get them.
    assert told["precision"] == 1
    assert done.object["metrics"]["p_at_1"] >= round(2 / 3, 4)
    assert kept["metrics"]["topic_abstention_recall"] == told["recall"]
    assert kept["unanswerable"] == 3 + done.object["abstention"]["queries"]
