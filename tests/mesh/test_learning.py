"""What the mesh learns from its use: resolved tickets are found, and thumbs move what was cited."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cli.demo.desk import AUTHTOKEN
from cli.demo.sample import as_request, incidents
from tests.support.mesh import Mesh
from tests.support.polling import eventually

RECORDED = r"^dossier_orchestrator_recorded_seconds_(count|sum) (\S+)$"


@pytest.fixture
def http(mesh: Mesh) -> Iterator[httpx.Client]:
    with mesh.http() as client:
        yield client


def found(http: httpx.Client, subject: str, description: str = "") -> dict[str, Any]:
    """What a search finds, by the tickets' ids."""
    question = {"subject": subject, "description": description}
    results = http.post("/v1/tickets:search", json=question).json()["results"]
    return {each["ticket"]["id"]: each for each in results}


def recorded(mesh: Mesh) -> dict[str, float]:
    port = mesh.record.ports.metrics("orchestrator")
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    return {name: float(value) for name, value in re.findall(RECORDED, page, re.MULTILINE)}


def test_a_ticket_that_is_resolved_at_the_tool_is_found_by_the_next_one_like_it(
    mesh: Mesh, http: httpx.Client
) -> None:
    word = f"flux{uuid4().hex[:8]}"
    subject = f"The {word} capacitor leaks"
    ticket = mesh.report(subject, f"Oil under the {word}.", site="Fulda", requester_email="ann@acme.example")
    before = recorded(mesh)
    assert ticket.ticket_id not in found(http, subject)

    change = {"status": {"name": "Resolved"}, "resolution": {"content": f"Sealed the {word}."}}
    resolved = httpx.put(
        f"{mesh.desk.base_url}/api/v3/requests/{ticket.ticket_id}",
        data={"input_data": json.dumps({"request": change})},
        headers={"authtoken": AUTHTOKEN},
        trust_env=False,
    )
    assert resolved.status_code == 200, resolved.text
    started = time.monotonic()
    result = eventually(
        lambda: found(http, subject).get(ticket.ticket_id), what="the resolved ticket", timeout_seconds=60
    )
    waited = time.monotonic() - started
    after = eventually(
        lambda: now if (now := recorded(mesh))["count"] > before["count"] else None, what="the metric"
    )
    seconds = (after["sum"] - before["sum"]) / (after["count"] - before["count"])
    print(f"\nfound after {waited:.2f} s; in the history after {seconds:.2f} s")  # noqa: T201 - the measurement

    assert result["ticket"]["resolution"] == f"Sealed the {word}."
    assert (result["ticket"]["site"], result["ticket"]["organisation"]) == ("Fulda", "acme.example")
    assert {"resolved", "recent"} <= set(result["explanation"]["boosts"])
    assert 0 < seconds <= waited + 1


async def test_a_thumb_moves_the_cited_ticket_and_taken_back_leaves_it_as_it_was(
    mesh: Mesh, http: httpx.Client
) -> None:
    told = as_request(next(iter(incidents())))
    told.pop("id", None)
    brief = await mesh.ended(mesh.accepted(**told))  # type: ignore[arg-type]  # as the sample has it
    cited = next(each for each in brief.brief.citations if each.evidence_id.startswith("history:"))
    ticket = cited.evidence_id.removeprefix("history:")
    question = brief.ticket.subject, brief.ticket.description
    # Until the sample is embedded, words alone make the score.
    compared = eventually(
        lambda: each if "semantic_score" in (each := found(http, *question)[ticket])["explanation"] else None,
        what="the vectors",
        timeout_seconds=60,
    )
    before = compared["score"]

    def thumb(**word: object) -> None:
        given = {"enhancement_id": brief.id, "evidence_id": cited.evidence_id, "author": "Ann", **word}
        answer = http.post("/v1/feedback", json={"feedback": given})
        assert answer.status_code == 200, answer.text

    def boosts() -> set[str]:
        return set(found(http, *question)[ticket]["explanation"]["boosts"])

    thumb(helpful=False)
    eventually(lambda: "rated_unhelpful" in boosts(), what="the thumb down", timeout_seconds=60)
    assert found(http, *question)[ticket]["score"] < before

    thumb(helpful=True)
    eventually(lambda: "rated_helpful" in boosts(), what="the thumb up", timeout_seconds=60)

    thumb(withdrawn=True)
    eventually(lambda: not any("rated" in each for each in boosts()), what="no thumb", timeout_seconds=60)
    assert found(http, *question)[ticket]["score"] == pytest.approx(before, abs=1e-6)
