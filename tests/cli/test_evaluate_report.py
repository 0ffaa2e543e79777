"""`dossier evaluate … --html`: one file that needs nothing else, whatever a client's texts are."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from cli.evaluating.asking import Found
from cli.evaluating.report.curves import FLOORS, of_results, of_silence
from tests.support.command import Command

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVIL = "Plotter <script>alert('x')</script> & \"smears\" </style>"


def rows() -> Sequence[Mapping[str, str]]:
    """The first incident is found; what the second's later ticket names, no search can find."""
    told = [
        ("INC-1", EVIL, ""),
        ("INC-2", "Turnstile rejects badges", ""),
        ("INC-11", EVIL, "Duplicate of INC-1"),
        ("INC-12", f"Wholly unlike: {EVIL}", "Duplicate of INC-2"),
    ]
    return [
        {
            "id": name,
            "title": title,
            "resolution": solved,
            "created": (BEGIN + timedelta(days=day)).isoformat(),
        }
        for day, (name, title, solved) in enumerate(told)
    ]


@pytest.fixture
def tenant(on_mesh: Command, tmp_path: Path) -> str:
    name = f"reports-{abs(hash(tmp_path)) % 10**9}"
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    assert on_mesh("tenant", "create", name).code == 0
    assert on_mesh("import", "tickets", str(path), DOSSIER_TENANT=name).code == 0
    return name


OWN = ("evaluate", "retrieval", "--own", "--latest", "0.5")


def whole(path: Path) -> LexborHTMLParser:
    """The page, which asks nothing of the network, runs nothing, and tells what its drawings show."""
    text = path.read_text()
    page = LexborHTMLParser(text)
    assert not page.css("script, link, iframe, object, embed, img, image")
    assert not [
        node
        for node in page.css("*")
        if any(name.startswith("on") or name in {"src", "href"} for name in node.attributes)
    ]
    addresses = re.findall(r"https?://[^\s\"'<>]+", text)
    assert {each for each in addresses if not each.startswith("http://www.w3.org/")} == set()
    ids = Counter(node.attributes["id"] for node in page.css("[id]"))
    assert max(ids.values(), default=1) == 1
    referred = set(re.findall(r"(?:url\(|xlink:href=\")#([\w-]+)", text))
    assert referred <= ids.keys()
    for drawing in page.css("figure > svg"):
        assert drawing.attributes["role"] == "img"
        assert len(drawing.attributes["aria-label"] or "") > 30
    # Every colour is the page's own, which has two sets of them.
    assert set(re.findall(r"(?:stroke|fill): (#\w+)", text)) == set()
    assert "prefers-color-scheme: dark" in text
    return page


def first(part: LexborHTMLParser | LexborNode, selector: str) -> LexborNode:
    return part.css(selector)[0]


def headings(page: LexborHTMLParser) -> Sequence[str]:
    return [node.text() for node in page.css("h1, h2")]


def test_an_evaluation_is_reported_whole_and_a_clients_text_stays_text(
    on_mesh: Command, tenant: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"

    done = on_mesh(
        *OWN,
        "--compare",
        "0.9",
        "--compare-floor",
        "0.4",
        "--html",
        str(path),
        "--json",
        DOSSIER_TENANT=tenant,
    )

    assert done.code == 0, done.problems
    assert done.object["html"] == str(path)
    assert path.stat().st_mode & 0o077 == 0
    page = whole(path)
    assert headings(page) == [
        f"Retrieval of {tenant}",
        "In numbers",
        "Measures",
        "Differences, query by query",
        "Results by their score",
        "Saying nothing",
        "What went worst",
    ]
    told = {term.text(): value.text() for term, value in zip(page.css("dt"), page.css("dd"), strict=True)}
    assert told["Client"] == tenant
    assert told["Queries"] == "2"
    assert "floor 0.40" in told["Compared with"]
    numbers = {
        first(row, "th").text(): [cell.text() for cell in row.css("td")]
        for row in page.css("table")[0].css("tbody tr")
    }
    mean = done.object["metrics"]["ndcg_at_10"]
    other = done.object["compared"]
    assert numbers["nDCG@10"][0] == f"{mean:.3f}"
    assert numbers["nDCG@10"][2] == f"{other['metrics']['ndcg_at_10']:.3f}"
    assert numbers["nDCG@10"][6] == f"{other['p_values']['ndcg_at_10']:.3f}"
    # The legend is above the curves: the recall's ends where one beside them would stand.
    for section in page.css("section")[2:4]:
        heights = {text.text(): float(text.attributes["y"] or "") for text in section.css("svg text")}
        assert max(at for name, at in heights.items() if "recall" in name) < heights["1.0"]
    (worst,) = page.css("table")[1].css("tbody tr")
    assert first(worst, "th").text() == f"Wholly unlike: {EVIL}"
    expected, found, value = worst.css("td")
    assert "Turnstile rejects badges" in expected.text()
    assert EVIL in found.text()
    assert float(value.text()) < 1


def test_without_a_comparison_there_is_none_in_the_report(
    on_mesh: Command, tenant: str, tmp_path: Path
) -> None:
    queries, qrels, path = tmp_path / "queries", tmp_path / "qrels", tmp_path / "report.html"
    queries.write_text(json.dumps({"id": "q", "text": "turnstile <b>badges</b>"}) + "\n")
    qrels.write_text("q\tINC-2\t1\nq\tgone\t1\n")

    done = on_mesh(
        *("evaluate", "retrieval", "--queries", str(queries), "--qrels", str(qrels), "--html", str(path)),
        DOSSIER_TENANT=tenant,
    )

    assert done.code == 0, done.problems
    assert f"The report is in {path}." in done.out.replace("\n", "")
    page = whole(path)
    assert "1 of 2: gone." in first(page, "main p").text()
    assert "Differences, query by query" not in headings(page)
    worst = first(page.css("table")[1], "tbody tr")
    assert first(worst, "th").text() == "turnstile <b>badges</b>"
    # Judged right, and not imported.
    assert "gone (not there)" in worst.css("td")[0].text()


def test_a_file_that_is_there_is_replaced_only_when_that_is_wanted(
    on_mesh: Command, tenant: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    arguments = (*OWN, "--no-record", "--html", str(path))

    refused = on_mesh(*arguments, "--json", DOSSIER_TENANT=tenant)
    unasked = on_mesh(*arguments, DOSSIER_TENANT=tenant)
    history = on_mesh("evaluate", "history", "--html", str(path), "--json", DOSSIER_TENANT=tenant)
    assert "is there already" in refused.error["message"]
    assert "--force" in refused.error["hint"]
    assert unasked.code != 0
    assert history.code != 0
    assert path.read_text() == "mine"

    assert on_mesh(*arguments, "--force", DOSSIER_TENANT=tenant).code == 0
    whole(path)


@pytest.mark.parametrize(("name", "told"), [("", "is a folder"), ("none/report.html", "there is no")])
def test_where_no_file_can_be_is_told_before_anything_is_asked(
    command: Command, tmp_path: Path, name: str, told: str
) -> None:
    done = command(*OWN, "--html", str(tmp_path / name), "--json")

    assert told in done.error["message"]


def test_evaluations_are_reported_over_time(on_mesh: Command, tenant: str, tmp_path: Path) -> None:
    none, two = tmp_path / "none.html", tmp_path / "two.html"

    assert on_mesh("evaluate", "history", "--html", str(none), DOSSIER_TENANT=tenant).code == 0
    for floor in ("0.1", "0.3"):
        assert on_mesh(*OWN, "--floor", floor, DOSSIER_TENANT=tenant).code == 0
    done = on_mesh("evaluate", "history", "--html", str(two), "--json", DOSSIER_TENANT=tenant)

    assert "None is kept yet" in first(whole(none), "main").text()
    page = whole(two)
    assert "Tickets, by own tickets: nDCG@10" in headings(page)
    shown = [[cell.text() for cell in row.css("td")] for row in page.css("tbody tr")]
    assert [each[4] for each in shown] == ["0.30", "0.10"]
    assert len(page.css("figure > svg")) == 5
    assert shown[0][7].startswith(f"{done.object['evaluations'][0]['metrics']['ndcg_at_10']:.3f}")


def test_the_curves_are_shares_of_what_is_above_each_floor() -> None:
    found = {
        "a": [Found("right", 0.8), Found("wrong", 0.5)],
        "b": [Found("wrong", 0.6), Found("right", 0.3)],
        "c": [],
    }
    relevant = {query: {"right": 1} for query in found}
    at = {floor: FLOORS.index(floor) for floor in (0.0, 0.5, 0.51, 0.8, 0.81)}

    results = of_results(found, relevant)
    silence = of_silence(found, {"x": [Found("wrong", 0.5)], "y": []})

    precision = {floor: results.precision[place] for floor, place in at.items()}
    recall = {floor: results.recall[place] for floor, place in at.items()}
    assert precision == {0.0: 0.5, 0.5: 1 / 3, 0.51: 0.5, 0.8: 1, 0.81: None}
    assert recall == {0.0: 2 / 3, 0.5: 1 / 3, 0.51: 1 / 3, 0.8: 1 / 3, 0.81: 0}
    # c has nothing found at all: where it should have, saying nothing is wrong at any floor.
    assert [silence.precision[at[floor]] for floor in (0.0, 0.51, 0.81)] == [0.5, 2 / 3, 0.4]
    assert [silence.recall[at[floor]] for floor in (0.0, 0.5, 0.51)] == [0.5, 0.5, 1]
