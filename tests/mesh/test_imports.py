"""Imports over REST, through the gateway into the services that keep the rows."""

import gzip
import json
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.support.mesh import Mesh


@pytest.fixture
def http(mesh: Mesh) -> Iterator[httpx.Client]:
    with mesh.http() as client:
        yield client


def ndjson(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_tickets_that_are_imported_are_found(http: httpx.Client) -> None:
    word = f"flux{uuid4().hex[:8]}"
    rows = [
        {"id": f"{word}-{number}", "title": f"The {word} capacitor leaks", "resolution": "Replaced it."}
        for number in range(250)
    ]
    body = gzip.compress(ndjson(*rows[:120], {"id": word}, *rows[120:]))

    answer = http.post("/v1/tickets:import?source=jira", content=body, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["created_count"], report["rejected_count"]) == ("250", "1")
    assert [(each["row"], each["id"], each["field"]) for each in report["rejected"]] == [
        ("121", word, "title")
    ]
    found = http.post("/v1/tickets:search", json={"subject": f"{word} capacitor"}).json()["results"]
    assert found
    assert {each["ticket"]["source"] for each in found} == {"jira"}
    assert http.get(f"/v1/tickets/{word}-249").status_code == 200

    again = http.post("/v1/tickets:import?source=jira", content=ndjson(*rows)).json()
    assert (again["created_count"], again["unchanged_count"]) == ("0", "250")


@pytest.mark.parametrize(
    ("route", "good", "bad", "field"),
    [
        ("articles", {"id": "a-1", "title": "Replace a toner", "body": "Open it."}, {"id": "a-2"}, "title"),
        ("assets", {"name": "srv-import", "addresses": ["10.9.8.7"]}, {"name": ""}, "name"),
        ("prefixes", {"prefix": "10.9.0.0/16", "site": "Depot"}, {"prefix": "nonsense"}, "prefix"),
    ],
)
def test_every_kind_is_imported_and_tells_its_broken_rows_by_their_lines(
    http: httpx.Client, route: str, good: object, bad: object, field: str
) -> None:
    answer = http.post(f"/v1/{route}:import", content=b"\n" + ndjson(bad) + b"nonsense\n" + ndjson(good))

    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["rejected_count"] == "2"
    assert [(each["row"], each["field"]) for each in report["rejected"]] == [("2", field), ("3", "")]
    kept = sum(int(report[f"{name}_count"]) for name in ("created", "updated", "unchanged"))
    assert kept == 1


def test_a_source_that_is_no_name_is_refused_by_its_service(http: httpx.Client) -> None:
    answer = http.post("/v1/tickets:import?source=No%20Name", content=ndjson({"id": "1", "title": "Jams"}))
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")
    assert answer.json()["details"]["fields"][0]["field"] == "source"
