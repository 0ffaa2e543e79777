"""What a measurement was taken on, and of."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

COMMIT_VARIABLE: Final = "DOSSIER_BUILD_COMMIT"
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    postgres: str
    disk: str
    """The file system under the database: on `tmpfs`, commits cost nothing and the numbers flatter."""
    load_before: float
    """The machine's load average before anything was started: above 0.5 something else was running."""


def this_machine(*, postgres: str, home: Path, load_before: float) -> Machine:
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        postgres=postgres,
        disk=_file_system(home),
        load_before=round(load_before, 2),
    )


def load_average() -> float:
    """Over the last minute."""
    return psutil.getloadavg()[0]


def commit() -> str:
    """The build's, else the checkout's, `-dirty` when files differ from it; empty when neither is known."""
    if built := os.environ.get(COMMIT_VARIABLE):
        return built
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _file_system(home: Path) -> str:
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    resolved = home.resolve()
    return next((mounts[each] for each in (resolved, *resolved.parents) if each in mounts), "unknown")
