"""A client's settings through the whole mesh: set with the command, seen in a brief, a note and a queue."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.synthesis.v1.brief_pb2 import SectionKind
from tests.support.mesh import Mesh
from tests.support.otlp import Receiver
from tests.support.polling import eventually

SUBJECT = "VPN tunnel to Venlo drops"
DESCRIPTION = "The IPsec tunnel of VNL-FW02 drops since the rekey."


def told(mesh: Mesh, *arguments: str) -> Mapping[str, Any]:
    done = mesh.dossier(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def settings(mesh: Mesh) -> Iterator[Mapping[str, Any]]:
    """As they are, and as they are again afterwards."""
    yield told(mesh, "tenant", "show", mesh.tenant)
    told(
        mesh,
        *("tenant", "update", mesh.tenant, "--all-sections", "--instructions", ""),
        *("--notes", "private", "--weight", "standard", "--max-in-progress", "0"),
    )


async def test_sections_and_visibility_count_for_the_next_ticket(
    mesh: Mesh, settings: Mapping[str, Any], otlp: Receiver
) -> None:
    before = await mesh.ended(mesh.accepted(SUBJECT, DESCRIPTION))
    wanted = [section.kind for section in before.brief.sections][::-1][:2]
    assert len(wanted) == 2
    names = _names(before)[::-1][:2]

    changed = told(
        mesh,
        *("tenant", "update", mesh.tenant, "--notes", "not_posted"),
        *(word for name in names for word in ("--section", name)),
    )
    after = await mesh.ended(mesh.accepted(f"{SUBJECT} again", DESCRIPTION))

    assert changed["revision"] == settings["revision"] + 1
    assert [section.kind for section in after.brief.sections] == wanted
    assert after.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert (before.HasField("note"), after.HasField("note")) == (True, False)
    assert not mesh.desk.notes(after.ticket.id)
    shown = told(mesh, "enhancements", "show", after.id, "--tenant", mesh.tenant)
    assert shown["settings_revision"] == changed["revision"]
    assert before.settings_revision == settings["revision"]
    # What the orchestrator looks for every moment is in no trace.
    looks = [each for each in otlp.spans() if each.span.name.endswith("ListQueueShares")]
    assert not [each for each in looks if each.service == "orchestrator"]


def test_a_share_is_one_truth_whichever_verb_sets_it(mesh: Mesh, settings: Mapping[str, Any]) -> None:
    told(mesh, "tenant", "update", mesh.tenant, "--weight", "premium", "--max-in-progress", "7")
    # Each look starts the command, which takes about as long as there is.
    eventually(lambda: _share(mesh) == ("premium", 7), what="the queue's share", timeout_seconds=10)

    told(mesh, "queue", "set", "--tenant", mesh.tenant, "--weight", "preferred")

    shown = told(mesh, "tenant", "show", mesh.tenant)
    assert (shown["weight"], shown["max_in_progress"]) == ("preferred", 7)
    events = told(mesh, "tenant", "audit", "list", mesh.tenant)["events"]
    assert [each["field"] for each in events[-1]["changes"]] == ["queue.weight"]
    assert (events[-1]["subject"], events[-1]["role"]) == ("orchestrator", "operator")


def test_a_clients_own_admin_is_refused_a_share_over_rest(mesh: Mesh, settings: Mapping[str, Any]) -> None:
    change = {"tenant": {"queue": {"weight": "QUEUE_WEIGHT_PREMIUM"}}, "update_mask": "queue.weight"}
    wrong = {
        "tenant": {"brief": {"sections": ["SECTION_KIND_NETWORK"] * 2}},
        "update_mask": "brief.sections",
    }
    with mesh.http() as http:
        refused = http.patch(f"/v1/tenants/{mesh.tenant}", json=change)
        doubled = http.patch(f"/v1/tenants/{mesh.tenant}", json=wrong)

    assert (refused.status_code, refused.json()["reason"]) == (403, "ROLE_REQUIRED")
    assert doubled.status_code == 400
    assert "tenant.brief.sections" in doubled.text


def _share(mesh: Mesh) -> tuple[str, int]:
    queue = told(mesh, "queue", "show", "--tenant", mesh.tenant)
    return queue["weight"], queue["max_in_progress"]


def _names(enhancement: pb.Enhancement) -> list[str]:
    kinds = enhancement.brief.sections
    return [SectionKind.Name(section.kind).removeprefix("SECTION_KIND_").lower() for section in kinds]
