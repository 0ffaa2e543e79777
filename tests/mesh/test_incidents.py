"""The sample's incidents through the whole mesh: reported at the tool, answered on the ticket."""

from collections.abc import Mapping
from typing import Any

import pytest

from cli.demo.sample import as_request, incidents
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from tests.support.mesh import Mesh

*ANSWERED, UNANSWERED = incidents()


async def brief_for(mesh: Mesh, incident: Mapping[str, Any]) -> Enhancement:
    told = as_request(incident)
    enhancement = await mesh.ended(mesh.accepted(**told))  # type: ignore[arg-type]  # as the sample has it
    assert enhancement.state == ENHANCEMENT_STATE_SUCCEEDED, enhancement.failure
    return enhancement


@pytest.mark.parametrize("incident", ANSWERED, ids=lambda incident: incident["id"])
async def test_a_brief_cites_what_the_client_already_knows(mesh: Mesh, incident: Mapping[str, Any]) -> None:
    enhancement = await brief_for(mesh, incident)

    cited = {citation.id for citation in enhancement.brief.citations}
    expected = incident["expected"]
    assert cited & {*expected["tickets"], *expected["articles"]}, cited
    assert cited >= set(expected["assets"])
    [note] = mesh.desk.notes(incident["id"])
    assert note["id"] == enhancement.note.id
    assert not note["show_to_requester"]


async def test_a_brief_on_something_new_says_that_nothing_similar_is_known(mesh: Mesh) -> None:
    enhancement = await brief_for(mesh, UNANSWERED)

    assert enhancement.brief.nothing_similar
    assert list(enhancement.brief.citations) == []
    assert len(mesh.desk.notes(UNANSWERED["id"])) == 1
