"""The command as its users run it: words, JSON, exit codes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cli.instance import Instance
from cli.ports import Ports
from cli.supervisor.environment import compose
from services.runtime.tokens import TokenVerifier, generate_keys
from tests.support.databases import TestDatabase


def dossier(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("DOSSIER_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        env=own | environment,
        check=False,
        timeout=60,
    )


def only_object(text: str) -> Mapping[str, Any]:
    parsed = json.loads(text)
    assert isinstance(parsed, dict)
    return parsed


def test_status_without_an_instance_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    done = dossier("status", "--data-dir", str(tmp_path / "none"), "--json")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "dossier up" in only_object(done.stderr)["error"]["hint"]
    assert not (tmp_path / "none").exists()


def test_a_wrong_option_is_an_error_in_json_too() -> None:
    done = dossier("up", "--port", "many", "--json")

    assert (done.returncode, done.stdout) == (2, "")
    assert "--port" in only_object(done.stderr)["error"]["message"]


def test_down_of_nothing_succeeds(tmp_path: Path) -> None:
    done = dossier("down", "--json", DOSSIER_DATA_DIR=str(tmp_path / "none"))

    assert done.returncode == 0
    assert only_object(done.stdout) == {"stopped": [], "was_running": False}


def test_a_taken_port_is_told_with_its_holder_and_another_way(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        if port > 64000:
            pytest.fail("the system's ephemeral ports leave no room above them")

        done = dossier("up", "--detach", "--json", "--data-dir", str(tmp_path / "mesh"), "--port", str(port))

    assert (done.returncode, done.stdout) == (1, "")
    error = only_object(done.stderr)["error"]
    assert f"Port {port}, which gateway needs, is taken by " in error["message"]
    assert f"(process {os.getpid()})" in error["message"]
    assert "--port" in error["hint"]


@pytest.mark.parametrize("audience", ["history", "gateway"])
def test_a_token_is_accepted_by_the_service_it_is_for(tmp_path: Path, audience: str) -> None:
    generate_keys(tmp_path / "keys")

    done = dossier("token", "--tenant", "acme", "--audience", audience, DOSSIER_DATA_DIR=str(tmp_path))

    caller = TokenVerifier(tmp_path / "keys" / "jwks.json", audience).verify(done.stdout.strip())
    assert (caller.tenant, caller.role) == ("acme", "operator")


def test_a_token_for_an_unknown_service_names_the_known_ones(tmp_path: Path) -> None:
    done = dossier("token", "--audience", "weather", "--json", DOSSIER_DATA_DIR=str(tmp_path))

    assert done.returncode == 2
    error = only_object(done.stderr)["error"]
    assert error["message"] == "--audience: 'weather' is no audience."
    assert "history" in error["hint"]


def test_migrating_twice_by_command_applies_nothing_the_second_time(database: TestDatabase) -> None:
    done = dossier("migrate", "--json", DOSSIER_DATABASE_URL=database.admin_url)

    assert done.returncode == 0, done.stderr
    assert only_object(done.stdout) == {"applied": []}


def test_migrate_status_and_dry_run_change_nothing(empty_database_url: str) -> None:
    for option in ("--status", "--dry-run"):
        done = dossier("migrate", option, "--json", DOSSIER_DATABASE_URL=empty_database_url)

        assert done.returncode == 0, done.stderr
        assert "services" in only_object(done.stdout)


@pytest.mark.parametrize(
    ("environment", "public_url"),
    [
        ({}, "http://localhost:9000"),
        ({"DOSSIER_PUBLIC_URL": "https://a.example"}, "https://a.example"),
        (
            {"DOSSIER_PUBLIC_URL": "https://a.example", "DOSSIER_GATEWAY_PUBLIC_URL": "https://b.example"},
            "https://b.example",
        ),
    ],
)
def test_new_clients_are_told_the_address_that_the_gateway_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], public_url: str
) -> None:
    for name in ("DOSSIER_PUBLIC_URL", "DOSSIER_GATEWAY_PUBLIC_URL", "DOSSIER_TENANTS_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    composed = compose(
        Instance(tmp_path),
        ports=Ports.starting_at(9000),
        embedded_database_url=None,
        redis_url="r",
        embedding_url="e",
        tls=False,
    )

    assert composed["DOSSIER_GATEWAY_PUBLIC_URL"] == composed["DOSSIER_TENANTS_PUBLIC_URL"] == public_url
    # A note at a client's tool links to what the operator named, and to nothing else.
    assert composed.get("DOSSIER_PUBLIC_URL") == environment.get("DOSSIER_PUBLIC_URL")


def test_each_service_gets_its_role_on_the_embedded_database_and_a_login_of_ones_own_passes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOSSIER_DATABASE_URL", "postgresql://own@db/dossier")
    instance = Instance(tmp_path)
    ports = Ports.starting_at(9000)

    embedded = compose(
        instance,
        ports=ports,
        embedded_database_url="postgresql://postgres@/dossier?host=/run",
        redis_url="r",
        embedding_url="e",
        tls=False,
    )
    external = compose(
        instance,
        ports=ports,
        embedded_database_url=None,
        redis_url="r",
        embedding_url="e",
        tls=False,
    )

    assert embedded["DOSSIER_HISTORY_DATABASE_URL"] == "postgresql://dossier_history@/dossier?host=/run"
    assert "DOSSIER_HISTORY_DATABASE_URL" not in external
    assert external["DOSSIER_DATABASE_URL"] == "postgresql://own@db/dossier"
    assert external["DOSSIER_HISTORY_TARGET"] == "localhost:9002"


def test_the_version_is_told() -> None:
    done = dossier("--version")

    assert (done.returncode, done.stdout) == (0, f"dossier {version('dossier')}\n")


def test_progress_is_for_whoever_watches(tmp_path: Path) -> None:
    """Neither what is piped nor what is kept of standard error has any of it."""
    rows = tmp_path / "tickets.jsonl"
    rows.write_text('{"id": "1", "title": "VPN drops"}\n' * 50)

    done = dossier("import", "tickets", str(rows), "--dry-run")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["50 rows, 0 would be rejected; nothing was sent."]
    assert done.stderr == ""


def test_a_folder_that_cannot_be_made_or_read_is_told_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    for home, reason in (("/proc/dossier", "No such file or directory"), (str(file), "File exists")):
        done = dossier("up", "--detach", "--json", DOSSIER_DATA_DIR=home)

        assert (done.returncode, done.stdout) == (1, "")
        told = only_object(done.stderr)["error"]
        assert home in told["message"]
        assert reason in told["message"]
        assert "DOSSIER_DATA_DIR" in told["hint"]
    assert "No instance is running" in dossier("status", DOSSIER_DATA_DIR=f"{file}/below").stderr
