"""`dossier stand-in desk`, run as its users run it: from a ticket at it to the note on that ticket."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import Command
from tests.support.mesh import Mesh, clean_environment
from tests.support.polling import eventually

_numbers = count(1)


@contextmanager
def running(mesh: Mesh, *arguments: str) -> Iterator[Mapping[str, Any]]:
    """Yield what it prints, and end it as Ctrl-C does."""
    program = str(Path(sys.executable).with_name("dossier"))
    process = subprocess.Popen(
        [program, "stand-in", "desk", "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment() | {"DOSSIER_DATA_DIR": str(mesh.instance.home)},
    )
    with process:
        assert process.stdout is not None
        try:
            printed = ""
            while (line := process.stdout.readline()) and line != "}\n":
                printed += line
            yield json.loads(printed + "}")
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(20)
    assert code == 0


def report(desk: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
    with httpx.Client(trust_env=False, timeout=30) as http:
        answer = http.post(desk["requests_url"], json={"subject": subject, "description": "Since 9:00."})
    made: Mapping[str, Any] = answer.json()
    return made


def notes(desk: Mapping[str, Any], ticket_id: str) -> int:
    with httpx.Client(trust_env=False) as http:
        found: int = http.get(f"{desk['requests_url']}/{ticket_id}/notes").json()["count"]
    return found


def test_a_ticket_at_it_gets_its_note_and_it_may_be_started_again(on_mesh: Command, mesh: Mesh) -> None:
    name = f"trial-{os.getpid()}-{next(_numbers)}"
    with running(mesh, "--tenant", name) as desk:
        assert (desk["tenant"], bool(desk["api_key"])) == (name, True)
        made = report(desk, "VPN drops")
        assert made["delivery"]["status"] == 202, made
        eventually(
            lambda: notes(desk, made["request"]["id"]) == 1, what="the note on the ticket", timeout_seconds=60
        )

    with running(mesh, "--tenant", name, "--yes") as again:
        assert again["api_key"] is None
        assert on_mesh("tenant", "show", name, "--json").object["base_url"] == again["base_url"]
        assert report(again, "Printer jams")["delivery"]["status"] == 202


def test_a_client_with_a_tool_of_its_own_is_left_alone(on_mesh: Command) -> None:
    name = f"real-{os.getpid()}-{next(_numbers)}"
    created = on_mesh(
        "tenant", "create", name, "--base-url", "https://desk.example.com", "--no-test", "--json"
    )
    assert created.code == 0, created.problems
    before = on_mesh("tenant", "secrets", "list", name, "--json").object

    done = on_mesh("stand-in", "desk", "--tenant", name, "--port", "0", "--yes", "--json")

    assert done.code == 1
    assert "https://desk.example.com" in done.error["message"]
    assert on_mesh("tenant", "show", name, "--json").object["etag"] == created.object["etag"]
    assert on_mesh("tenant", "secrets", "list", name, "--json").object == before


def test_a_client_that_is_there_is_asked_about(on_mesh: Command, client: Mapping[str, Any]) -> None:
    name = client["tenant"]

    done = on_mesh("stand-in", "desk", "--tenant", name, "--port", "0", "--json")

    assert (done.code, "--yes" in done.error["hint"]) == (1, True)
    assert on_mesh("tenant", "show", name, "--json").object["etag"] == client["etag"]


def test_a_port_that_is_taken_is_told(on_mesh: Command, mesh: Mesh) -> None:
    taken = str(mesh.record.gateway_port)
    done = on_mesh("stand-in", "desk", "--tenant", "never", "--port", taken, "--json")

    assert (done.code, f"Port {taken}" in done.error["message"]) == (1, True)


@pytest.mark.parametrize("line", ["not json\n", '{"description": "no subject"}\n'])
def test_a_file_of_tickets_that_is_none_is_told(on_mesh: Command, tmp_path: Path, line: str) -> None:
    file = tmp_path / "tickets.jsonl"
    file.write_text(line)

    done = on_mesh("stand-in", "desk", "--tenant", "never", "--requests", str(file), "--json")

    assert done.code == 1
    assert str(file) in done.error["message"]
