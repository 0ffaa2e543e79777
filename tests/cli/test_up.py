"""A whole instance by command: real servers and migrations under it, stand-ins for the seven processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.instance import Instance, Phase, State
from tests.support.overlay import overlay
from tests.support.polling import eventually
from tests.support.ports import free_mesh_port

SERVERS = {"postgres", "redis", "embedder"}
PROCESSES = {"history", "knowledge", "network", "synthesis", "tenants", "orchestrator", "gateway"}


class Mesh:
    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.instance = Instance(home)
        self.port = free_mesh_port()
        self._environment = environment

    def command(self, verb: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "cli", verb, "--data-dir", str(self.instance.home), *options]

    def start(self, verb: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(verb, *options),
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, verb: str, *options: str, **environment: str) -> dict[str, Any]:
        with self.start(verb, *options, "--json", **environment) as process:
            out, problems = process.communicate(timeout=120)
        assert process.returncode == 0, problems
        found: dict[str, Any] = json.loads(out)
        return found

    def up(self, *options: str, **environment: str) -> dict[str, Any]:
        return self.run("up", "--detach", "--port", str(self.port), *options, **environment)

    def processes(self) -> dict[str, psutil.Process]:
        """What the record says is alive, and is."""
        record = self.instance.read()
        assert record is not None
        found = {entry.name: entry.mark.process() for entry in record.processes if entry.mark}
        return {name: process for name, process in found.items() if process is not None}


@pytest.fixture
def mesh(tmp_path: Path, server_home: Path) -> Iterator[Mesh]:
    """One folder for all tests: a cluster is created once, each test starts and stops what is on it."""
    mesh = Mesh(server_home / "mesh", overlay(tmp_path / "overlay"))
    yield mesh
    mesh.run("down")


def gone(processes: dict[str, psutil.Process]) -> None:
    for name, process in processes.items():
        eventually(lambda process=process: not process.is_running(), what=f"{name} gone")  # type: ignore[misc]


def test_two_ups_make_one_mesh_a_third_starts_what_has_stopped_and_down_ends_all(mesh: Mesh) -> None:
    options = ("--detach", "--port", str(mesh.port), "--json")
    with mesh.start("up", *options) as one, mesh.start("up", *options) as other:
        answers = [json.loads(process.communicate(timeout=120)[0]) for process in (one, other)]
    assert all(answer["ready"] for answer in answers)
    assert answers[0]["supervisor_pid"] == answers[1]["supervisor_pid"]
    assert answers[0]["gateway_url"] == f"http://localhost:{mesh.port}"

    status = mesh.run("status")
    assert {process["name"]: process["state"] for process in status["processes"]} == dict.fromkeys(
        SERVERS | PROCESSES, "ready"
    )

    before = mesh.processes()
    assert set(before) == SERVERS | PROCESSES
    for name in ("knowledge", "redis"):
        before[name].terminate()
    eventually(
        lambda: set(mesh.processes()) == (SERVERS | PROCESSES) - {"knowledge", "redis"}, what="two gone"
    )

    assert mesh.up()["ready"]

    after = mesh.processes()
    assert {name for name in after if after[name].pid != before[name].pid} == {"knowledge", "redis"}

    assert set(mesh.run("down")["stopped"]) == SERVERS | PROCESSES
    gone(after)


def test_several_gateways_share_the_port_and_have_metrics_of_their_own(mesh: Mesh) -> None:
    up = mesh.up("--gateways", "2")
    gateways = [each for each in up["processes"] if each["name"].startswith("gateway")]
    assert [each["name"] for each in gateways] == ["gateway", "gateway-2"]
    assert [each["state"] for each in gateways] == ["ready", "ready"]
    assert {each["port"] for each in gateways} == {mesh.port}
    assert [each["metrics_port"] for each in gateways] == [mesh.port + 1000, mesh.port + 1007]

    with mesh.start("up", "--gateways", "3", "--json") as another:
        _, problems = another.communicate(timeout=60)
    assert another.returncode == 1
    assert "gateways: 2" in problems
    assert mesh.up()["ready"]


def test_interrupting_a_foreground_up_drains_and_succeeds(mesh: Mesh, tmp_path: Path) -> None:
    with mesh.start("up", "--port", str(mesh.port)) as foreground:
        eventually(lambda: running(mesh), what="a running mesh", timeout_seconds=60)
        processes = mesh.processes()
        assert foreground.stdout is not None
        ready = foreground.stdout.readline()
        foreground.send_signal(signal.SIGINT)
        more, progress = foreground.communicate(timeout=60)
        assert foreground.returncode == 0

    assert ready + more == f"Ready: http://localhost:{mesh.port}/docs\n"
    assert {f"{name}: ready" for name in SERVERS | PROCESSES} < set(progress.splitlines())
    gone(processes)
    ended = (tmp_path / "overlay" / "ended").read_text().split()
    assert ended[:2] == ["gateway", "orchestrator"]
    assert set(ended) == PROCESSES


def test_killing_a_foreground_up_leaves_nothing_running(mesh: Mesh) -> None:
    with mesh.start("up", "--port", str(mesh.port)) as foreground:
        eventually(lambda: running(mesh), what="a running mesh", timeout_seconds=60)
        processes = mesh.processes()
        foreground.kill()
        foreground.wait(20)

        gone(processes)


def test_after_a_killed_supervisor_up_starts_everything_anew_with_the_same_keys(mesh: Mesh) -> None:
    mesh.up()
    keys = {path.name: path.read_bytes() for path in mesh.instance.keys.iterdir()}
    record = mesh.instance.read()
    assert record is not None
    old = mesh.processes()

    os.kill(record.supervisor.pid, signal.SIGKILL)
    gone(old)

    assert mesh.up()["ready"]
    assert {path.name: path.read_bytes() for path in mesh.instance.keys.iterdir()} == keys
    assert mesh.instance.key_encryption_key.stat().st_mode & 0o777 == 0o600


def test_a_process_that_cannot_start_ends_up_with_its_own_words(mesh: Mesh) -> None:
    with mesh.start(
        "up", "--port", str(mesh.port), "--json", FAKE_MODE_synthesis="misconfigured"
    ) as foreground:
        out, problems = foreground.communicate(timeout=60)

    assert (foreground.returncode, out) == (1, "")
    assert "DOSSIER_FAKE_DATABASE_URL: is required" in json.loads(problems)["error"]["message"]
    assert mesh.processes() == {}


def running(mesh: Mesh) -> bool:
    record = mesh.instance.read()
    return record is not None and record.phase is Phase.RUNNING and record.processes[-1].state is State.READY
