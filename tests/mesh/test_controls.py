"""What operators do to runs and queues, through the whole mesh."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1.orchestrator_service_pb2 import WatchEnhancementRequest
from tests.support.command import Done, command_in_process
from tests.support.mesh import Mesh

SUBJECT = "Label printer prints empty labels, ZT411 at 10.30.60.23"
DESCRIPTION = "One good label, then a blank one, since another brand of rolls was loaded."
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


class Command(Protocol):
    async def __call__(self, *arguments: str, tenant: str | None = None) -> Done: ...


class Told(Protocol):
    async def __call__(self, *arguments: str, tenant: str | None = None) -> Mapping[str, Any]: ...


@pytest.fixture
def command(mesh: Mesh, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command for the sample client unless told otherwise; it has a loop of its own, so also a thread."""
    run = command_in_process(capsys, monkeypatch)

    async def on_mesh(*arguments: str, tenant: str | None = None) -> Done:
        home = str(mesh.instance.home)
        return await asyncio.to_thread(
            run, *arguments, "--json", DOSSIER_DATA_DIR=home, DOSSIER_TENANT=tenant or mesh.tenant
        )

    return on_mesh


@pytest.fixture
def told(command: Command) -> Told:
    """The one JSON object of a command that succeeds."""

    async def run(*arguments: str, tenant: str | None = None) -> Mapping[str, Any]:
        done = await command(*arguments, tenant=tenant)
        assert done.code == 0, done.problems
        return done.object

    return run


@asynccontextmanager
async def paused(told: Told) -> AsyncIterator[None]:
    assert (await told("queue", "pause"))["paused"] is True
    try:
        yield
    finally:
        await told("queue", "resume")


def operator(mesh: Mesh) -> httpx.Client:
    """Speak to the gateway as an operator, who is of no client."""
    token = mesh.dossier("token", "--audience", "gateway").stdout.strip()
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=mesh.gateway_url, headers=headers, timeout=30, trust_env=False)


def notes_of(mesh: Mesh, enhancement: pb.Enhancement) -> int:
    return len(mesh.desk.notes(enhancement.ticket.id))


def attempts(enhancement: pb.Enhancement) -> dict[str, int]:
    return {step.name: step.attempt for step in enhancement.steps}


@pytest.fixture(scope="module")
def neighbour(mesh: Mesh) -> str:
    """Another client, with no ticketing tool: its briefs are made by hand."""
    made = mesh.dossier("tenant", "create", "neighbour", "--json")
    name: str = json.loads(made.stdout)["tenant"]
    return name


async def test_a_paused_clients_work_is_kept_and_waits_while_others_go_on(
    mesh: Mesh, neighbour: str, told: Told
) -> None:
    async with paused(told):
        enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
        # Accepted later, and done: what waits does so because of the pause.
        theirs = await told("enhance", SUBJECT, tenant=neighbour)
        queue = await told("queue", "show")
        waits = await told("enhancements", "show", enhancement_id)

    assert theirs["state"] == "succeeded"
    assert (queue["paused"], queue["waiting"]) == (True, 1)
    assert queue["oldest_seconds"] > 0
    assert waits["state"] == "queued"
    assert (await mesh.ended(enhancement_id)).state == pb.ENHANCEMENT_STATE_SUCCEEDED


async def test_everything_is_paused_and_resumed_over_rest_by_an_operator(mesh: Mesh, told: Told) -> None:
    with operator(mesh) as http:
        try:
            assert http.post("/v1/queue:pause").json()["queue"]["paused"] is True
            assert (await told("queue", "show"))["paused"] is True
            enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
            assert int(http.get("/v1/queue").json()["queue"]["waiting"]) >= 1
        finally:
            assert http.post("/v1/queue:resume").json()["queue"]["paused"] is False

    assert (await mesh.ended(enhancement_id)).state == pb.ENHANCEMENT_STATE_SUCCEEDED


def test_an_operator_names_the_client_whose_share_is_changed(mesh: Mesh) -> None:
    with operator(mesh) as http:
        unnamed = http.patch("/v1/queue", json={"max_in_progress": 8})
        named = http.patch(
            "/v1/queue", json={"max_in_progress": 0}, headers={"x-dossier-tenant": mesh.tenant}
        )

    assert (unnamed.status_code, unnamed.json()["reason"]) == (403, "TENANT_REQUIRED")
    assert named.status_code == 200, named.text


def test_a_client_that_does_not_exist_is_neither_paused_nor_given_an_inventory(
    mesh: Mesh, tmp_path: Path
) -> None:
    assets = tmp_path / "assets.csv"
    assets.write_text("hostname,ip\nfw-01,10.0.0.1\n")
    for words in (("queue", "pause"), ("queue", "show"), ("import", "assets", str(assets))):
        refused = mesh.dossier(*words, "--tenant", "nope", "--json")
        assert refused.returncode == 1
        assert json.loads(refused.stderr)["error"]["message"] == "There is no client nope."


def test_a_client_reads_its_queue_and_does_not_steer_it(mesh: Mesh) -> None:
    with mesh.http() as http:
        shown = http.get("/v1/queue")
        refused = http.post("/v1/queue:pause")

    assert shown.json()["queue"]["weight"] == "QUEUE_WEIGHT_STANDARD"
    assert (refused.status_code, refused.json()["reason"]) == (403, "ROLE_REQUIRED")


async def test_a_share_and_a_cap_stay_until_they_are_changed(mesh: Mesh, neighbour: str, told: Told) -> None:
    default = (await told("queue", "show", tenant=neighbour))["max_in_progress"]

    await told("queue", "set", "--weight", "premium", "--max-in-progress", "2", tenant=neighbour)
    changed = await told("queue", "show", tenant=neighbour)
    await told("queue", "set", "--max-in-progress", "0", tenant=neighbour)
    back = await told("queue", "show", tenant=neighbour)

    assert (changed["weight"], changed["max_in_progress"]) == ("premium", 2)
    assert (back["weight"], back["max_in_progress"]) == ("premium", default)


async def test_a_cancelled_run_posts_nothing_until_it_is_tried_again(
    mesh: Mesh, told: Told, command: Command
) -> None:
    async with paused(told):
        enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
        assert (await told("enhancements", "cancel", enhancement_id))["state"] == "cancelled"
        assert (await told("enhancements", "cancel", enhancement_id))["state"] == "cancelled"
        later = mesh.accepted(SUBJECT, DESCRIPTION)
    await mesh.ended(later)
    cancelled = await mesh.ended(enhancement_id)
    assert cancelled.state == pb.ENHANCEMENT_STATE_CANCELLED
    assert notes_of(mesh, cancelled) == 0

    retried = await told("enhancements", "retry", enhancement_id, "--watch")

    assert retried["state"] == "succeeded"
    assert notes_of(mesh, cancelled) == 1
    refused = await command("enhancements", "cancel", enhancement_id)
    assert "ENHANCEMENT_ENDED" in refused.error["message"]


async def test_what_failed_is_tried_again_by_its_reason_from_where_it_stopped(mesh: Mesh, told: Told) -> None:
    for _ in range(2):
        mesh.desk.post("/_standin/faults", {"kind": "forbidden", "method": "POST", "path": "/notes"})
    failed = [await mesh.ended(mesh.accepted(SUBJECT, DESCRIPTION)) for _ in range(2)]
    assert {each.failure.reason for each in failed} == {"TOOL_REJECTED"}
    listed = (await told("enhancements", "list", "--state", "failed"))["enhancements"]
    assert {each.id for each in failed} <= {each["id"] for each in listed}
    assert (await told("queue", "show"))["failed"] >= 2

    elsewhere = await told("enhancements", "retry-failed", "--reason", "TICKET_MISSING", "--dry-run")
    counted = await told("enhancements", "retry-failed", "--reason", "TOOL_REJECTED", "--dry-run")
    retried = await told("enhancements", "retry-failed", "--reason", "TOOL_REJECTED", "--yes")

    assert elsewhere["would_retry"] == 0
    assert counted["would_retry"] == retried["retried"] >= 2
    assert retried["remaining"] == 0
    for each in failed:
        ended = await mesh.ended(each.id)
        assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED, ended.failure
        assert attempts(ended) == {**attempts(each), "deliver": 2}
        assert notes_of(mesh, ended) == 1


async def test_a_run_that_the_tool_puts_off_says_until_when_and_why(mesh: Mesh) -> None:
    fault = {"kind": "rate_limited", "method": "POST", "path": "/notes", "retry_after": "2"}
    mesh.desk.post("/_standin/faults", fault)
    enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)

    async with mesh.orchestrating() as orchestrator:
        request = WatchEnhancementRequest(enhancement_id=enhancement_id)
        seen = [change.enhancement async for change in orchestrator.WatchEnhancement(request, timeout=60)]

    waiting = [each for each in seen if each.HasField("next_attempt_time")]
    assert waiting
    assert "limits our rate" in next(step.detail for step in waiting[0].steps if step.name == "deliver")
    assert waiting[0].next_attempt_time.ToDatetime() > waiting[0].create_time.ToDatetime()
    assert seen[-1].state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert not seen[-1].HasField("next_attempt_time")
    assert attempts(seen[-1])["deliver"] == 2
    assert notes_of(mesh, seen[-1]) == 1


async def test_a_replay_of_the_same_says_the_same_and_posts_nothing(mesh: Mesh, told: Told) -> None:
    original = await mesh.ended(mesh.accepted(SUBJECT, DESCRIPTION))

    replay = await told("enhancements", "replay", original.id)

    assert replay["replay"]["replay_of"] == replay["original"]["id"] == original.id
    assert replay["replay"]["state"] == "succeeded"
    assert replay["replay"]["note"] is None
    for what in ("claims", "citations"):
        changes = replay["diff"][what]
        assert (changes["added"], changes["removed"], changes["changed"]) == ([], [], [])
        assert changes["kept"] > 0
    assert replay["diff"]["words"]["change"] == 0
    assert notes_of(mesh, original) == 1


async def test_what_never_gathered_is_not_replayed(mesh: Mesh, told: Told, command: Command) -> None:
    async with paused(told):
        enhancement_id = mesh.accepted(SUBJECT, DESCRIPTION)
        refused = await command("enhancements", "replay", enhancement_id)

    assert "ENHANCEMENT_NOT_REPLAYABLE" in refused.error["message"]
    await mesh.ended(enhancement_id)


def test_every_metric_of_the_operations_page_is_exported(mesh: Mesh) -> None:
    port = mesh.record.ports.metrics("orchestrator")
    exported = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    table = OPERATIONS.read_text().partition("\n## Metrics\n")[2].partition("\n### ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)", row)}

    assert len(named) > 10
    missing = {name for name in named if f"# TYPE dossier_orchestrator_{name} " not in exported}
    assert not missing
