"""Runs a program as a child for as long as a block lasts, without pytest's own loop."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.program import Program

START_SECONDS = 30.0
STOP_SECONDS = 20.0


@contextmanager
def running(program: Program, *, ready: Callable[[], bool], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        child = subprocess.Popen(
            program.launch_argv(), env=dict(program.environment), stdout=output, stderr=output, cwd="/"
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{program.name} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield child
    finally:
        child.send_signal(program.stop_signal)
        child.wait(STOP_SECONDS)
