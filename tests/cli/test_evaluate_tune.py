"""`dossier evaluate tune`: found on one half of the queries, reported on the other, applied when better."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.evaluating.asking import Found
from cli.evaluating.judgements import Query
from cli.evaluating.tune import best_floor, best_share, halves
from tests.support.command import Command

THINGS = "plotter turnstile beamer franking scanner kiosk lift shutter projector sprinkler laminator shredder"
TROUBLES = "smears rejects"
QRELS = {"a": {"right": 1}, "b": {"right": 1}}


def found(*scores: tuple[str, float]) -> Sequence[Found]:
    return [Found(document, score) for document, score in scores]


def test_halves_share_no_query_and_leave_none_out() -> None:
    queries = [Query(str(number), "x", "") for number in range(7)]

    mine, others = halves(queries)

    assert sorted([*mine, *others], key=lambda query: query.id) == queries
    assert len(mine) - len(others) == 1


def test_the_share_that_ranks_best_is_found_and_a_tie_changes_nothing() -> None:
    well = {query: found(("right", 0.5), ("other", 0.4)) for query in QRELS}
    badly = {query: found(("other", 0.5), ("right", 0.4)) for query in QRELS}

    assert best_share({0.6: badly, 0.0: well, 1.0: badly}, QRELS, present=0.6) == 0.0
    assert best_share({0.0: well, 0.6: well}, QRELS, present=0.6) == 0.6


def test_the_floor_lets_through_what_is_right_and_little_else() -> None:
    answered = {"a": found(("right", 0.5)), "b": found(("other", 0.9), ("right", 0.4))}
    foreign = {"f": found(("other", 0.3)), "g": found(("other", 0.2)), "h": found()}

    assert best_floor(answered, foreign, QRELS, present=0.1) == 0.31
    assert best_floor(answered, foreign, QRELS, present=0.35) == 0.35


def test_a_floor_that_nothing_reaches_is_replaced_when_that_is_wanted(
    on_mesh: Command, tmp_path: Path
) -> None:
    tenant = "tunes-itself"
    begin, rows = datetime(2026, 1, 1, tzinfo=UTC), []
    subjects = [f"{thing} {trouble} daily" for thing in THINGS.split() for trouble in TROUBLES.split()]
    for number, subject in enumerate(subjects):
        first, second = ((begin + timedelta(days=day)).isoformat() for day in (number, number + 100))
        rows.append({"id": f"INC-{number}", "title": f"The {subject}", "created": first})
        told = {"title": f"Again: {subject}", "resolution": f"As INC-{number}", "created": second}
        rows.append({"id": f"INC-{number + 1000}"} | told)
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert on_mesh("tenant", "create", tenant).code == 0
    assert on_mesh("import", "tickets", str(path), DOSSIER_TENANT=tenant).code == 0
    assert on_mesh("tenant", "update", tenant, "--tickets-floor", "0.99").code == 0
    tune = ("evaluate", "tune", "--own", "--latest", "0.5", "--json")

    looked = on_mesh(*tune, DOSSIER_TENANT=tenant)
    assert looked.code == 0, looked.problems
    before = on_mesh("tenant", "show", tenant, "--json").object["retrieval"]
    unasked = on_mesh(*tune, "--apply", DOSSIER_TENANT=tenant)
    applied = on_mesh(*tune, "--apply", "--yes", DOSSIER_TENANT=tenant)
    after = on_mesh("tenant", "show", tenant, "--json").object["retrieval"]

    assert (looked.object["better"], looked.object["applied"]) == (True, False)
    assert looked.object["queries"] == {"tuned_on": 12, "reported_on": 12}
    assert looked.object["differences"]["answered_rightly"] > 0.2
    assert "Nobody is there to be asked" in unasked.error["message"]
    assert before == {"tickets": {"floor": 0.99}}
    assert applied.object["applied"] is True
    assert round(after["tickets"]["floor"], 4) == applied.object["found"]["floor"] < 0.99

    again = on_mesh(*tune, "--apply", "--yes", DOSSIER_TENANT=tenant)
    assert again.object["applied"] is False
    assert on_mesh("tenant", "show", tenant, "--json").object["retrieval"] == after


def test_too_few_queries_are_no_ground_to_tune_on(on_mesh: Command, tmp_path: Path) -> None:
    queries, qrels = tmp_path / "queries", tmp_path / "qrels"
    queries.write_text('{"id": "q", "text": "printer"}\n')
    qrels.write_text("q\td\t1\n")

    done = on_mesh("evaluate", "tune", "--queries", str(queries), "--qrels", str(qrels), "--json")

    assert done.code != 0
    assert "1 queries are too few" in done.error["message"]
