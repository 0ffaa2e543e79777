"""Supervision, with real processes, real signals and real deaths."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cli.instance import Instance, InstanceRecord, Phase, ProcessRecord, State
from cli.program import Program
from cli.supervisor.child import Child, Policy
from cli.supervisor.ground import stop_leftovers
from cli.supervisor.probe import local_probe
from tests.support.polling import eventually

FAKE_MESH = Path(__file__).parents[1] / "support" / "fake_mesh.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """A supervisor in a process of its own, seen through its record."""

    def __init__(self, home: Path, specification: str) -> None:
        self.instance = Instance(home)
        filled = specification
        while "PORT" in filled:
            filled = filled.replace("PORT", str(free_port()), 1)
        with (home / "supervisor.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(FAKE_MESH), str(home), filled], stdout=log, stderr=log
            )
        self._home = home

    def until(self, holds: Callable[[InstanceRecord], bool], what: str) -> InstanceRecord:
        def look() -> InstanceRecord | None:
            record = self.instance.read()
            return record if record is not None and holds(record) else None

        return eventually(look, what=what)

    def until_running(self) -> InstanceRecord:
        return self.until(lambda record: record.phase is Phase.RUNNING, "everything ready")

    def until_state(self, name: str, state: State) -> ProcessRecord:
        self.until(lambda record: entry(record, name).state is state, f"{name} {state}")
        return self.entry(name)

    def entry(self, name: str) -> ProcessRecord:
        record = self.instance.read()
        assert record is not None
        return entry(record, name)

    def pid(self, name: str) -> int:
        mark = self.entry(name).mark
        assert mark is not None
        return mark.pid

    def ended(self) -> list[str]:
        with suppress(FileNotFoundError):
            return (self._home / "ended").read_text().split()
        return []


def entry(record: InstanceRecord, name: str) -> ProcessRecord:
    return next(process for process in record.processes if process.name == name)


Start = Callable[[str], Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Running] = []

    def begin(specification: str) -> Running:
        begun.append(Running(tmp_path, specification))
        return begun[-1]

    yield begin
    for running in begun:
        running.process.terminate()
        running.process.wait(20)
        stop_leftovers(running.instance.read())


def test_everything_becomes_ready(start: Start) -> None:
    record = start("history:ready:PORT,tenants:ready:PORT|gateway:ready:PORT").until_running()

    assert {process.name: process.state for process in record.processes} == {
        "history": State.READY,
        "tenants": State.READY,
        "gateway": State.READY,
    }


def test_a_killed_process_is_started_again(start: Start) -> None:
    running = start("history:ready:PORT|gateway:ready:PORT")
    running.until_running()
    first = running.pid("history")

    os.kill(first, signal.SIGKILL)
    running.until(lambda record: entry(record, "history").restarts == 1, "a restart")
    running.until_state("history", State.READY)

    assert running.pid("history") != first
    assert running.entry("gateway").restarts == 0


def test_a_process_asked_to_end_stays_stopped_until_wanted_again(start: Start) -> None:
    running = start("history:ready:PORT|gateway:ready:PORT")
    running.until_running()

    os.kill(running.pid("history"), signal.SIGTERM)
    stopped = running.until_state("history", State.STOPPED)
    assert stopped.mark is None

    running.process.send_signal(signal.SIGHUP)
    running.until_state("history", State.READY)
    assert running.entry("history").restarts == 0


def test_stopping_goes_group_by_group_the_last_first(start: Start) -> None:
    running = start("history:ready:PORT|orchestrator:ready:PORT|gateway:ready:PORT")
    running.until_running()

    running.process.terminate()

    assert running.process.wait(20) == 0
    assert running.ended() == ["gateway", "orchestrator", "history"]
    running.until(lambda record: record.phase is Phase.STOPPED, "the last word")


def test_a_process_that_ignores_the_request_is_killed_after_its_grace(start: Start) -> None:
    running = start("history:stubborn:PORT|gateway:ready:PORT")
    running.until_running()
    stubborn = psutil.Process(running.pid("history"))

    running.process.terminate()

    assert running.process.wait(20) == 0
    assert not stubborn.is_running()
    assert running.ended() == ["gateway"]


def test_a_second_request_to_stop_does_not_wait_for_the_grace(start: Start) -> None:
    running = start("history:ready:PORT|gateway:stubborn:PORT")
    running.until_running()

    running.process.terminate()
    running.until(lambda record: record.phase is Phase.STOPPING, "stopping")
    running.process.terminate()

    assert running.process.wait(20) == 0
    assert running.ended() == []


def test_a_misconfigured_process_stops_the_start_and_its_words_are_told(start: Start) -> None:
    running = start("history:ready:PORT,synthesis:misconfigured:PORT")

    assert running.process.wait(20) == 1
    record = running.until(lambda record: record.phase is Phase.FAILED, "the failure")
    assert record.trouble is not None
    assert "synthesis cannot start: DOSSIER_FAKE_DATABASE_URL: is required" in record.trouble.message
    assert running.entry("synthesis").restarts == 0
    assert entry(record, "history").state is State.STOPPED


def test_a_process_that_is_not_ready_says_why(start: Start) -> None:
    running = start("history:unready:PORT")

    def told(record: InstanceRecord) -> bool:
        return entry(record, "history").detail == "postgresql: connection refused"

    assert running.until(told, "the reason").phase is Phase.STARTING


def test_nothing_outlives_a_killed_supervisor(start: Start) -> None:
    running = start("history:ready:PORT,tenants:ready:PORT|gateway:ready:PORT")
    record = running.until_running()

    running.process.kill()
    running.process.wait(20)

    for process in record.processes:
        mark = process.mark
        assert mark is not None
        eventually(lambda mark=mark: mark.process() is None, what=f"{process.name} gone")  # type: ignore[misc]
    assert sorted(running.ended()) == ["gateway", "history", "tenants"]


def test_leftovers_of_a_dead_supervisor_are_ended_and_others_spared(start: Start) -> None:
    running = start("history:ready:PORT|gateway:ready:PORT")
    record = running.until_running()
    mark = entry(record, "gateway").mark
    assert mark is not None
    # The same number, but another process: one that was born at another time.
    reused = entry(record, "gateway").model_copy(
        update={"mark": mark.model_copy(update={"created": mark.created - 60})}
    )
    stale = record.model_copy(update={"processes": (entry(record, "history"), reused)})

    assert stop_leftovers(stale) == ("history",)
    assert mark.process() is not None


async def test_a_process_that_keeps_crashing_is_restarted_ever_later(tmp_path: Path) -> None:
    told: list[str] = []
    program = Program("history", (sys.executable, "-S", "-c", "raise SystemExit(3)"), {"PATH": os.defpath})
    child = Child(
        program,
        probe=local_probe(lambda: False, reason=""),
        log=tmp_path / "log",
        changed=lambda: told.append(child.record().detail),
        policy=Policy(first_backoff_seconds=0.01, longest_backoff_seconds=0.04),
    )
    tending = asyncio.create_task(child.tend())
    child.start()

    await asyncio.to_thread(eventually, lambda: child.record().restarts >= 4, what="four restarts")
    await child.stop()
    tending.cancel()

    waits = [detail for detail in told if detail]
    assert waits[:4] == [
        "exited with 3, starts again in 0.01 s",
        "exited with 3, starts again in 0.02 s",
        "exited with 3, starts again in 0.04 s",
        "exited with 3, starts again in 0.04 s",
    ]
    assert child.state is State.STOPPED


async def test_one_that_ended_a_moment_ago_is_started_when_asked_for(tmp_path: Path) -> None:
    program = Program(
        "sleeper", (sys.executable, "-S", "-c", "import time; time.sleep(60)"), {"PATH": os.defpath}
    )
    probe = local_probe(lambda: True, reason="")
    child = Child(program, probe=probe, log=tmp_path / "log", changed=lambda: None, policy=Policy())
    tending = asyncio.create_task(child.tend())
    child.start()
    await asyncio.to_thread(eventually, lambda: child.state is State.READY, what="a ready child")
    mark = child.record().mark
    assert mark is not None

    os.kill(mark.pid, signal.SIGTERM)
    eventually(lambda: mark.process() is None, what="its end, of which the loop has not heard")
    child.start()
    await asyncio.to_thread(
        eventually, lambda: child.record().mark not in {None, mark}, what="another process in its place"
    )

    assert child.record().restarts == 0
    await child.stop()
    tending.cancel()
