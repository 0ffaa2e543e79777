"""`dossier evaluate retrieval`: what it reads, what it computes, and what it measures on a running mesh."""

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.errors import DossierError
from cli.evaluating.judgements import Query, judged, read_qrels, read_queries
from cli.evaluating.measures import NAMES, PerQuery, per_query, summed_up
from tests.support.command import Command

INCIDENTS: Sequence[Mapping[str, str]] = [
    {"id": "e1", "title": "Plotter smears magenta", "body": "Every drawing has a magenta streak."},
    {"id": "e2", "title": "Magenta streak on plotter drawings", "body": "It smears since Monday."},
    {"id": "e3", "title": "Turnstile rejects visitor badges", "body": "Reception lets them in by hand."},
    {"id": "e4", "title": "Visitor badges rejected at the turnstile", "body": "All of them, since noon."},
    {"id": "e5", "title": "Beamer flickers in the auditorium", "body": "Whenever the lights are dimmed."},
]
QUERIES = [
    {"id": "streaks", "text": "magenta streak smears the plotter drawings"},
    {"id": "flicker", "title": "Beamer flickers", "description": "in the dimmed auditorium"},
    {"id": "e3"},
    {"id": "nobody judged this", "text": "badges"},
]
QRELS = (
    "query\tdocument\trelevance\nstreaks\te1\t1\nstreaks\te2\t1\nflicker\te5\t1\ne3\te4\t1\nflicker\te1\t0\n"
)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def lines(rows: Sequence[Mapping[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_the_measures_are_trecs() -> None:
    qrels = {
        "half": {"a": 1, "b": 1},
        "graded": {"c": 2, "d": 1},
        "nothing": {"a": 1},
        "late": {"last": 1},
        "beyond": {"z": 1},
    }
    unwanted = [f"u{number}" for number in range(10)]
    rankings = {
        # Names in an order that would decide if places did not.
        "half": ["x", "a", "y", "b"],
        "graded": ["d", "c"],
        "nothing": [],
        "late": [*unwanted, "last"],
        "beyond": unwanted,
    }

    values = per_query(rankings, qrels)

    assert values["map"] == pytest.approx(
        {"half": 0.5, "graded": 1, "nothing": 0, "late": 1 / 11, "beyond": 0}
    )
    assert values["mrr"] == pytest.approx(
        {"half": 0.5, "graded": 1, "nothing": 0, "late": 1 / 11, "beyond": 0}
    )
    assert values["p_at_1"] == {"half": 0, "graded": 1, "nothing": 0, "late": 0, "beyond": 0}
    assert values["p_at_5"] == pytest.approx(
        {"half": 0.4, "graded": 0.4, "nothing": 0, "late": 0, "beyond": 0}
    )
    second, fourth = 1 / math.log2(3), 1 / math.log2(5)
    assert values["ndcg_at_10"] == pytest.approx(
        {
            "half": (second + fourth) / (1 + second),
            "graded": (1 + 2 * second) / (2 + second),
            "nothing": 0,
            "late": 0,
            "beyond": 0,
        }
    )
    assert values["recall_at_10"] == {"half": 1, "graded": 1, "nothing": 0, "late": 0, "beyond": 0}
    assert values["recall_at_100"] == {"half": 1, "graded": 1, "nothing": 0, "late": 1, "beyond": 0}


def test_an_interval_surrounds_the_mean_and_is_the_same_every_time() -> None:
    values: PerQuery = {
        "mixed": {str(number): number % 2 for number in range(100)},
        "sure": {"a": 1.0, "b": 1.0},
    }

    measured = summed_up(values)

    assert measured["mixed"].mean == 0.5
    # Of a hundred throws of a coin, the standard error is 0.05.
    assert measured["mixed"].low == pytest.approx(0.4, abs=0.03)
    assert measured["mixed"].high == pytest.approx(0.6, abs=0.03)
    assert (measured["sure"].mean, measured["sure"].low, measured["sure"].high) == (1, 1, 1)
    assert summed_up(values) == measured


def test_qrels_may_have_a_heading_and_trecs_fourth_column_and_be_gzipped(tmp_path: Path) -> None:
    expected = {"q1": {"d1": 1, "d2": 2}, "q2": {"d3": 1}}
    three = "q1\td1\t1\nq1\td2\t2\n\nq2\td3\t1\nq2\td1\t0\nq2\td2\t-1\n"
    four = "q1 0 d1 1\nq1 0 d2 2\nq2 Q0 d3 1\nq2 0 d1 0\n"
    zipped = tmp_path / "zipped"
    zipped.write_bytes(gzip.compress(three.encode()))

    assert read_qrels(written(tmp_path / "three", three)) == expected
    assert read_qrels(written(tmp_path / "headed", "query-id\tcorpus-id\tscore\n" + three)) == expected
    assert read_qrels(written(tmp_path / "four", four)) == expected
    assert read_qrels(zipped) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q1\td1\t1\nq1\td2\n", "line 2 is no judgement"),
        ("q1\td1\t1\n\nq1\td2\tyes\n", "line 3 is no judgement: the relevance 'yes'"),
        # It was taken for a heading.
        ("q1\tINC-1001\tx\n", "line 1 is no judgement: the relevance 'x' is not a whole number"),
        ("q1\td1\t0.5\nq1\td2\t1\n", "line 1 is no judgement: the relevance '0.5'"),
        ("q1 0 d1 1 more\n", "line 1 is no judgement"),
        ("q1\td1\t0\n", "judges nothing relevant"),
        ("", "judges nothing relevant"),
    ],
)
def test_a_line_that_is_no_judgement_is_told_with_its_number(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DossierError, match=told):
        read_qrels(written(tmp_path / "qrels", text))


def test_queries_are_texts_or_titles_with_descriptions_or_documents(tmp_path: Path) -> None:
    text = lines(
        [
            {"id": "1", "text": "a question"},
            {"id": "2", "title": "a title", "description": "and more"},
            {"id": "3", "title": "a title", "body": "as corpora have it"},
            {"id": "4"},
            {"id": "5", "title": "", "body": ""},
        ]
    )
    zipped = tmp_path / "zipped"
    zipped.write_bytes(gzip.compress(text.encode()))

    for path in (written(tmp_path / "plain", text), zipped):
        assert read_queries(path) == [
            Query("1", "a question", ""),
            Query("2", "a title", "and more"),
            Query("3", "a title", "as corpora have it"),
            Query("4", "", ""),
            Query("5", "", ""),
        ]
        assert [query.is_document for query in read_queries(path)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"id": "1"}\n{"id": "2"\n', "line 2 is no query"),
        ('\n\n{"text": "without an id"}\n', "line 3 is no query"),
        ('["1", "a question"]\n', "line 1 is no query"),
        ('{"id": "", "text": "a question"}\n', "line 1 is no query"),
        ('{"id": "1", "text": ["a", "question"]}\n', "line 1 is no query"),
        ('{"id": "1"}\n{"id": "1", "text": "other"}\n', "line 2 has the id 1 again"),
        ("\n", "has no queries"),
    ],
)
def test_a_line_that_is_no_query_is_told_with_its_number(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DossierError, match=told):
        read_queries(written(tmp_path / "queries", text))


ZIPPED = gzip.compress(b"q d 1\n" * 100, mtime=0)


@pytest.mark.parametrize(
    "content",
    [None, b"\x1f\x8b broken", ZIPPED[:-12], ZIPPED[:10] + b"\xff" * 8 + ZIPPED[18:]],
    ids=["no file", "no gzip", "cut off", "damaged"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "qrels"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DossierError, match="qrels cannot be read"):
        read_qrels(path)


def test_only_judged_queries_are_asked() -> None:
    asked, other = Query("1", "a", ""), Query("2", "b", "")

    assert judged([asked, other], {"1": {"d": 1}, "3": {"d": 1}}) == [asked]
    with pytest.raises(DossierError, match="None of the queries is judged"):
        judged([other], {"1": {"d": 1}})


def test_files_are_checked_before_anything_is_asked(command: Command, tmp_path: Path) -> None:
    queries = written(tmp_path / "queries", lines(QUERIES))
    qrels = written(tmp_path / "qrels", "streaks\te1\tvery\nstreaks\te1\n")

    done = command("evaluate", "retrieval", "--queries", str(queries), "--qrels", str(qrels), "--json")

    assert done.code != 0
    assert "line 1 is no judgement: the relevance 'very'" in done.error["message"]
    assert "query<TAB>document<TAB>relevance" in done.error["hint"]


def test_a_file_that_is_not_there_is_told_with_its_option(command: Command, tmp_path: Path) -> None:
    there, gone = written(tmp_path / "there", QRELS), str(tmp_path / "gone")

    queries = command("evaluate", "retrieval", "--queries", gone, "--qrels", str(there), "--json")
    qrels = command("evaluate", "retrieval", "--queries", str(there), "--qrels", gone, "--json")

    assert queries.error["message"] == f"--queries: {gone} cannot be read: No such file or directory."
    assert qrels.error["message"] == f"--qrels: {gone} cannot be read: No such file or directory."
    assert "--qrels takes a file" in qrels.error["hint"]


@pytest.mark.parametrize("kind", ["tickets", "articles"])
def test_a_clients_own_documents_are_measured(on_mesh: Command, tmp_path: Path, kind: str) -> None:
    tenant = f"evaluates-{kind}"
    description = "description" if kind == "tickets" else "body"
    documents = [{"id": each["id"], "title": each["title"], description: each["body"]} for each in INCIDENTS]
    corpus = written(tmp_path / "corpus.jsonl", lines(documents))
    files = (
        "--queries",
        str(written(tmp_path / "queries", lines(QUERIES))),
        "--qrels",
        str(written(tmp_path / "qrels", QRELS)),
    )
    assert on_mesh("tenant", "create", tenant).code == 0
    assert on_mesh("import", kind, str(corpus), DOSSIER_TENANT=tenant).code == 0

    done = on_mesh("evaluate", "retrieval", "--kind", kind, *files, "--json", DOSSIER_TENANT=tenant)

    assert done.code == 0, done.problems
    assert done.object["tenant"] == tenant
    assert done.object["kind"] == kind
    assert done.object["queries"] == 3
    assert done.object["nothing_found"] == 0
    assert done.object["metrics"] == {
        "map": 1,
        # That of `e3` too: were it among its own results, it would be the first.
        "mrr": 1,
        "p_at_1": 1,
        "p_at_5": pytest.approx((2 + 1 + 1) / 5 / 3, abs=1e-4),
        "ndcg_at_10": 1,
        "recall_at_10": 1,
        "recall_at_100": 1,
    }
    assert done.object["intervals"].keys() == set(NAMES)

    shown = on_mesh("evaluate", "retrieval", "--kind", kind, *files, DOSSIER_TENANT=tenant)
    assert shown.code == 0
    assert "nDCG@10" in shown.out
    assert "3 judged queries" in shown.out


@pytest.fixture
def imported(on_mesh: Command, client: Mapping[str, Any], tmp_path: Path) -> str:
    """A client of the test's own that has the incidents, as tickets and as articles."""
    name: str = client["tenant"]
    for kind, text in (("tickets", "description"), ("articles", "body")):
        rows = [{"id": each["id"], "title": each["title"], text: each["body"]} for each in INCIDENTS]
        corpus = written(tmp_path / f"{kind}.jsonl", lines(rows))
        assert on_mesh("import", kind, str(corpus), DOSSIER_TENANT=name).code == 0
    return name


@pytest.mark.parametrize("kind", ["tickets", "articles"])
def test_judged_documents_that_are_not_there_are_told(
    on_mesh: Command, imported: str, tmp_path: Path, kind: str
) -> None:
    queries = written(tmp_path / "queries", lines(QUERIES))
    some = written(
        tmp_path / "some", f"{QRELS}streaks\t[/gone]\t1\nflicker\t{'x' * 200}\t1\nnot asked\tgone2\t1\n"
    )
    none = written(tmp_path / "none", "streaks\tgone\t1\nflicker\tgone2\t1\n")
    asked = ("evaluate", "retrieval", "--kind", kind, "--queries", str(queries), "--qrels")

    told = on_mesh(*asked, str(some), "--json", DOSSIER_TENANT=imported)
    shown = on_mesh(*asked, str(some), "--no-record", DOSSIER_TENANT=imported, COLUMNS="500")
    refused = on_mesh(*asked, str(none), "--json", DOSSIER_TENANT=imported)

    assert told.code == 0, told.problems
    assert told.object["judgements"] == {"documents": 6, "absent": ["[/gone]", "x" * 200], "too_few": True}
    assert f"not among the client's {kind} and were not found, 2 of 6: [/gone], xxx" in shown.out
    assert "Fewer than 30 queries say little: judge more." in shown.out
    assert refused.code == 1
    assert (
        f"None of the 2 judged documents is among the {kind} of {imported}, such as gone"
        in (refused.error["message"])
    )
    assert f"dossier import {kind}" in refused.error["hint"]
    kept = on_mesh("evaluate", "history", "--json", DOSSIER_TENANT=imported).object["evaluations"]
    # What was refused is not kept.
    assert len(kept) == 1


def test_of_thirty_queries_on_documents_that_are_there_nothing_is_remarked(
    on_mesh: Command, imported: str, tmp_path: Path
) -> None:
    rows = [{"id": str(number), "text": "magenta streak on plotter drawings"} for number in range(30)]
    queries = written(tmp_path / "queries", lines(rows))
    qrels = written(tmp_path / "qrels", "".join(f"{number}\te1\t1\n" for number in range(30)))
    files = ("--queries", str(queries), "--qrels", str(qrels), "--no-record")

    shown = on_mesh("evaluate", "retrieval", *files, DOSSIER_TENANT=imported)

    assert shown.code == 0, shown.problems
    assert "30 judged queries" in shown.out
    assert "Fewer than" not in shown.out
    assert "not among" not in shown.out


@pytest.mark.parametrize("verb", ["retrieval", "tune"])
def test_a_query_that_is_a_document_nobody_has_is_told(
    on_mesh: Command, imported: str, tmp_path: Path, verb: str
) -> None:
    queries = written(tmp_path / "queries", '{"id": "never-imported"}\n{"id": "e3"}\n')
    qrels = written(tmp_path / "qrels", "never-imported\te1\t1\ne3\te4\t1\n")
    files = ("--queries", str(queries), "--qrels", str(qrels), "--json")

    done = on_mesh("evaluate", verb, *files, DOSSIER_TENANT=imported)

    assert done.code == 1
    assert done.error["message"] == (
        f"Queries without a text, and not among the tickets of {imported}: never-imported."
    )
    assert "give it a text" in done.error["hint"]
