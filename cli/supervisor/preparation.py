"""Runs the preparation as a process of its own, so that the supervisor stays small."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from cli.errors import DossierError
from cli.instance import Instance
from cli.program import Program
from cli.supervisor.environment import DATABASE_VARIABLE

Prepare = Callable[[Callable[[str], None]], Awaitable[None]]


def preparing(instance: Instance, *, database_url: str, environment: Mapping[str, str]) -> Prepare:
    argv = (sys.executable, "-P", "-m", "cli.supervisor.prepare", str(instance.home))
    program = Program("prepare", argv, {**environment, DATABASE_VARIABLE: database_url})

    async def prepare(progress: Callable[[str], None]) -> None:
        with instance.log(program.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.launch_argv(), env=dict(program.environment), stdout=PIPE, stderr=log, cwd="/"
            )
        try:
            await _listen(process, progress, log=str(instance.log(program.name)))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    return prepare


async def _listen(process: asyncio.subprocess.Process, progress: Callable[[str], None], *, log: str) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    async for line in process.stdout:
        told = json.loads(line)
        if "message" in told:
            raise DossierError(told["message"], hint=told["hint"])
        progress(told["step"])
    if await process.wait() != 0:
        raise DossierError("Preparing the database failed.", hint=f"Its log: {log}")
