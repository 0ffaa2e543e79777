"""What still works while a part is stopped, what is said about it, and that all comes back by itself."""

import asyncio
import json
import signal
from typing import Any

import httpx

from cli.follow import all_ready
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from tests.support.mesh import Mesh
from tests.support.polling import eventually

SUBJECT = "Label printer prints empty labels, ZT411 at 10.30.60.23"
DESCRIPTION = "One good label, then a blank one, since another brand of rolls was loaded."


async def test_without_knowledge_the_brief_arrives_and_names_it(mesh: Mesh) -> None:
    with mesh.without("knowledge"):
        enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
        enhancement = await mesh.ended(enhancement_id)

        assert enhancement.state == ENHANCEMENT_STATE_SUCCEEDED, enhancement.failure
        [missing] = enhancement.brief.unavailable_sources
        assert missing.source == "knowledge"
        assert {citation.source for citation in enhancement.brief.citations} == {"history", "network"}
        [note] = mesh.desk.notes(enhancement.ticket.id)
        assert "knowledge" in note["description"]

    recovered = await first_whole(mesh)
    assert "knowledge" in {citation.source for citation in recovered.brief.citations}


async def test_without_redis_everything_works(mesh: Mesh) -> None:
    with mesh.without("redis"):
        enhancement = await mesh.ended(mesh.accepted(SUBJECT, DESCRIPTION))
        assert enhancement.state == ENHANCEMENT_STATE_SUCCEEDED, enhancement.failure
        assert list(enhancement.brief.unavailable_sources) == []
        with mesh.http() as http:
            assert http.get(f"/v1/enhancements/{enhancement.id}").status_code == 200
            assert http.post("/v1/tickets:search", json={"subject": SUBJECT}).json()["results"]
            assert http.get("/readyz").status_code == 200


async def test_without_postgresql_webhooks_get_503_readiness_says_why_and_all_recovers(mesh: Mesh) -> None:
    before = mesh.pids()
    with mesh.without("postgres"):
        delivered = mesh.report(SUBJECT, DESCRIPTION)
        refused = json.loads(delivered.body)
        assert delivered.status == 503
        assert {"code", "reason", "message", "request_id", "details"} <= refused.keys()
        assert refused["message"]
        failing = eventually(lambda: not_ready(mesh), what="the gateway not ready", timeout_seconds=30)
        assert "postgresql" in json.dumps(failing)

    # Nobody was restarted but PostgreSQL: the others found it again.
    assert {name for name, pid in mesh.pids().items() if pid != before[name]} == {"postgres"}
    enhancement = await mesh.ended(
        eventually(lambda: accepted_or_none(mesh), what="an accepted webhook", timeout_seconds=30)
    )
    assert enhancement.state == ENHANCEMENT_STATE_SUCCEEDED, enhancement.failure


async def test_a_run_cut_off_by_its_orchestrators_death_is_finished_by_the_next(mesh: Mesh) -> None:
    mesh.desk.post("/_standin/faults", {"kind": "slow", "seconds": 2, "method": "POST", "path": "/notes"})
    enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
    orchestrator = mesh.process("orchestrator")
    assert orchestrator is not None
    orchestrator.send_signal(signal.SIGKILL)
    orchestrator.wait(20)
    eventually(lambda: restarted(mesh, orchestrator.pid), what="a new orchestrator", timeout_seconds=60)

    enhancement = await mesh.ended(enhancement_id)

    assert enhancement.state == ENHANCEMENT_STATE_SUCCEEDED, enhancement.failure
    assert len(mesh.desk.notes(enhancement.ticket.id)) == 1


async def first_whole(mesh: Mesh) -> Enhancement:
    """The first brief of which no source is missing: a channel takes a moment to find its service again."""
    async with asyncio.timeout(30):
        while True:
            enhancement = await mesh.ended(mesh.accepted(SUBJECT, DESCRIPTION))
            if not enhancement.brief.unavailable_sources:
                return enhancement


def restarted(mesh: Mesh, before: int) -> bool:
    return mesh.pids()["orchestrator"] != before and all_ready(mesh.record)


def not_ready(mesh: Mesh) -> Any:
    """What the gateway's readiness says; None when it is ready."""
    answer = httpx.get(f"{mesh.gateway_url}/readyz", trust_env=False, timeout=10)
    return None if answer.status_code == 200 else answer.json()


def accepted_or_none(mesh: Mesh) -> str | None:
    delivered = mesh.report(SUBJECT, DESCRIPTION)
    return json.loads(delivered.body)["enhancement_id"] if delivered.status == 202 else None
