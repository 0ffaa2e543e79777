"""`dossier token` on a running mesh."""

from collections.abc import Mapping
from typing import Any

from tests.support.command import Command


def test_a_token_is_for_a_client_that_there_is(on_mesh: Command, client: Mapping[str, Any]) -> None:
    def whose(*options: str, **environment: str) -> object:
        return on_mesh("token", *options, "--json", **environment).object["tenant"]

    name = client["tenant"]
    assert whose("--tenant", name) == name
    assert whose("-t", name) == name
    assert whose(DOSSIER_TENANT=name) == name
    assert whose("--no-tenant", DOSSIER_TENANT=name) is None
    for unknown in (on_mesh("token", "--tenant", "nobody"), on_mesh("token", DOSSIER_TENANT="nobody")):
        assert (unknown.code, unknown.out) == (1, "")
        assert "There is no client nobody." in unknown.problems
