"""Lists of clients' things: whole, searched, and with names."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.mesh import Mesh


@pytest.mark.parametrize("width", ["40", "80", ""])
def test_ids_are_whole_however_narrow_the_terminal_is(
    on_mesh: Command, client: Mapping[str, Any], width: str
) -> None:
    name = client["tenant"]
    environment = {"COLUMNS": width} if width else {}
    long = "the key of the console on the wall of the second floor, beside the printer"
    made = on_mesh("tenant", "keys", "create", name, "--role", "viewer", "--name", long, "--json").object
    staff = on_mesh("operator", "keys", "create", "--role", "viewer", "--name", long, "--json").object
    secret = on_mesh("tenant", "secrets", "list", name, "--json").object["secrets"][0]["id"]

    assert made["id"] in on_mesh("tenant", "keys", "list", name, **environment).out
    assert staff["id"] in on_mesh("operator", "keys", "list", **environment).out
    assert secret in on_mesh("tenant", "secrets", "list", name, **environment).out
    on_mesh("operator", "keys", "revoke", staff["id"])


def test_the_log_is_searched_by_who_what_and_since(
    on_mesh: Command, mesh: Mesh, client: Mapping[str, Any]
) -> None:
    name = client["tenant"]
    with mesh.http() as http:
        headers = {"authorization": f"Bearer {client['api_key']}"}
        change = {"tenant": {"brief": {"language": "it"}}, "update_mask": "brief.language"}
        assert http.patch(f"/v1/tenants/{name}", headers=headers, json=change).status_code == 200

    def listed(*options: str) -> list[str]:
        events = on_mesh("tenant", "audit", "list", name, *options, "--json").object["events"]
        return [event["action"] for event in events]

    assert listed() == ["CreateTenant", "UpdateTenant"]
    # By the key's name, which is nowhere in the log.
    assert listed("--who", "made with") == ["UpdateTenant"]
    assert listed("--what", "brief.lang") == ["UpdateTenant"]
    assert listed("--what", "createtenant") == ["CreateTenant"]
    assert listed("--since", "2999-01-01") == []
    assert listed("--since", "2001-01-01T00:00") == ["CreateTenant", "UpdateTenant"]
    assert "None of 2 events is such." in on_mesh("tenant", "audit", "list", name, "--who", "nobody").out
    assert "made with the client (" in on_mesh("tenant", "audit", "list", name, COLUMNS="300").out


def test_deletions_of_one_client(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    assert f"No client {name} was deleted." in on_mesh("tenant", "deletions", name).out

    on_mesh("tenant", "delete", name, "--yes", name)

    [deletion] = on_mesh("tenant", "deletions", name, "--json").object["deletions"]
    assert deletion["tenant"] == name
    assert deletion["deletion"] in on_mesh("tenant", "deletions", name, COLUMNS="60").out


def test_paused_clients_are_named(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]
    on_mesh("queue", "pause", "--tenant", name)
    try:
        assert name in on_mesh("queue", "show", "--all", "--json").object["paused_tenants"]
        words = on_mesh("queue", "show", "--all", COLUMNS="500").out
        assert re.search(rf"Paused by themselves: [^.]*\b{name}\b", words), words
    finally:
        on_mesh("queue", "resume", "--tenant", name)
    assert name not in on_mesh("queue", "show", "--all", "--json").object["paused_tenants"]
