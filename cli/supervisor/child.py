"""One supervised process: started while it is wanted, restarted when it crashes, left alone when it ends."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cli.instance import ProcessMark, ProcessRecord, State
from cli.program import Program
from cli.supervisor.probe import Probe

_ENDED_ON_PURPOSE = {0, -signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGINT}
_MISCONFIGURED = 78
"""EX_CONFIG: starting it again would say the same."""
_LOG_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the supervisor is."""

    probe_seconds: float = 0.2
    """Between two looks at a process that is not ready."""
    ready_probe_seconds: float = 2.0
    first_backoff_seconds: float = 0.5
    longest_backoff_seconds: float = 30.0
    settled_seconds: float = 30.0
    """A process that ran this long starts over at the first backoff when it crashes."""
    grace_seconds: float = 15.0
    """From the request to stop until it is killed."""


class Child:
    def __init__(
        self, program: Program, *, probe: Probe, log: Path, changed: Callable[[], None], policy: Policy
    ) -> None:
        self.program = program
        self._probe = probe
        self._log = log
        self._changed = changed
        self._policy = policy
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._process: asyncio.subprocess.Process | None = None
        self._state = State.STOPPED
        self._detail = ""
        self._mark: ProcessMark | None = None
        self._restarts = 0
        self._again = False

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def state(self) -> State:
        return self._state

    def record(self) -> ProcessRecord:
        return ProcessRecord(
            name=self.name,
            state=self._state,
            detail=self._detail,
            mark=self._mark,
            restarts=self._restarts,
            stop_signal=int(self.program.stop_signal),
            log=str(self._log),
        )

    def start(self) -> None:
        """Want it to run; does nothing to one that does."""
        if not self._wanted.is_set():
            self._become(State.STARTING)
            self._at_rest.clear()
            self._unwanted.clear()
            self._wanted.set()
        elif self._mark is not None and self._mark.process() is None:
            self._again = True  # it has ended, and we are about to be told

    async def stop(self) -> None:
        """Ask it to end, wait out its grace, then kill it."""
        self._want_no_more()
        self._signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(self._at_rest.wait(), self._policy.grace_seconds)
        except TimeoutError:
            self.kill()
            await self._at_rest.wait()

    def kill(self) -> None:
        self._want_no_more()
        self._signal(signal.SIGKILL)

    def _want_no_more(self) -> None:
        self._wanted.clear()
        self._unwanted.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def tend(self) -> None:
        """Run it whenever it is wanted, for as long as the supervisor lives."""
        while True:
            await self._wanted.wait()
            await self._run_until_unwanted()
            self._at_rest.set()

    async def _run_until_unwanted(self) -> None:
        backoff = self._policy.first_backoff_seconds
        loop = asyncio.get_running_loop()
        while self._wanted.is_set():
            started = loop.time()
            code = await self._run_once()
            if self._again:
                self._again = False
                continue
            if not self._wanted.is_set() or code in _ENDED_ON_PURPOSE:
                break
            if code == _MISCONFIGURED:
                self._want_no_more()
                self._become(State.FAILED, self._last_words())
                return
            if loop.time() - started >= self._policy.settled_seconds:
                backoff = self._policy.first_backoff_seconds
            self._restarts += 1
            self._become(State.BACKOFF, f"{_ending(code)}, starts again in {backoff:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._unwanted.wait(), backoff)
            backoff = min(backoff * 2, self._policy.longest_backoff_seconds)
        self._want_no_more()
        self._become(State.STOPPED)

    async def _run_once(self) -> int:
        self._rotate_log()
        with self._log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self.program.launch_argv(),
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                process_group=0,  # the terminal's Ctrl-C is for us: we stop them in order
            )
        self._process = process
        self._mark = ProcessMark.of(process.pid)
        self._become(State.STARTING)
        if not self._wanted.is_set():  # asked to stop while it was being born
            self._signal(self.program.stop_signal)
        watching = asyncio.create_task(self._watch())
        try:
            return await process.wait()
        finally:
            watching.cancel()
            self._mark = None

    async def _watch(self) -> None:
        while True:
            reason = await self._probe()
            if reason is None:
                self._become(State.READY)
            elif self._state is not State.STARTING:
                self._become(State.UNREADY, reason)
            else:
                self._become(State.STARTING, reason)
            ready = self._state is State.READY
            await asyncio.sleep(self._policy.ready_probe_seconds if ready else self._policy.probe_seconds)

    def _become(self, state: State, detail: str = "") -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            self._changed()

    def _rotate_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT_BYTES:
            self._log.rename(self._log.with_suffix(".log.1"))

    def _last_words(self) -> str:
        with self._log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            lines = file.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-10:])


def _ending(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exited with {code}"
