"""Runs the preparation as a process of its own, so that the supervisor stays small."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

from cli.errors import DossierError
from cli.instance import Instance
from cli.program import Program
from cli.supervisor.environment import DATABASE_VARIABLE
from cli.supervisor.prepare import KEYS


class Preparation(Protocol):
    """What must be done before processes may start, and before those that need a migrated database may."""

    async def make_keys(self) -> None: ...

    async def migrate(self, progress: Callable[[str], None]) -> None:
        """Bring the database, which is there by now, up to date, telling the steps."""
        ...


Prepare = Callable[[], AbstractAsyncContextManager[Preparation]]


def preparing(instance: Instance, *, database_url: str, environment: Mapping[str, str]) -> Prepare:
    argv = (sys.executable, "-P", "-m", "cli.supervisor.prepare", str(instance.home))
    program = Program("prepare", argv, {**environment, DATABASE_VARIABLE: database_url})

    @asynccontextmanager
    async def prepare() -> AsyncIterator[Preparation]:
        with instance.log(program.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.launch_argv(),
                env=dict(program.environment),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                cwd="/",
            )
        try:
            yield _Preparation(process, log=str(instance.log(program.name)))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    return prepare


class _Preparation:
    def __init__(self, process: Process, *, log: str) -> None:
        self._process = process
        self._log = log

    async def make_keys(self) -> None:
        async for step in self._steps():
            if step == KEYS:
                return

    async def migrate(self, progress: Callable[[str], None]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        async for step in self._steps():
            progress(step)

    async def _steps(self) -> AsyncIterator[str]:
        """Yield what it tells until it ends well; its trouble becomes ours."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        async for line in self._process.stdout:
            told = json.loads(line)
            if "message" in told:
                raise DossierError(told["message"], hint=told["hint"])
            yield told["step"]
        if await self._process.wait() != 0:
            raise DossierError("Preparing the database failed.", hint=f"Its log: {self._log}")
