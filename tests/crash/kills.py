"""SIGKILLs at seeded moments, to every kind of process there is."""

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import psutil

from cli.instance import Instance, ProcessMark, State
from cli.ports import SERVICES

KINDS: Final = ("gateway", *SERVICES, "postgres", "redis")
_ONCE_MORE: Final = 3
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    at: float
    """Seconds after the first ticket."""
    name: str
    with_children: bool
    """PostgreSQL's backends with their postmaster, or the postmaster alone."""


@dataclass(slots=True)
class Death:
    name: str
    at: float
    """In seconds since the epoch, as the stand-ins count."""
    back: float | None = None
    """When it was ready again."""


def planned(seed: int, *, seconds: float) -> list[Kill]:
    """Every kind of process once and some again, over so many seconds."""
    dice = Random(seed)  # noqa: S311 - the same kills for the same seed is the point
    names = [*KINDS, *dice.choices(KINDS, k=_ONCE_MORE)]
    dice.shuffle(names)
    moments = sorted(dice.uniform(0.5, seconds) for _ in names)
    return [
        Kill(round(at, 3), name, with_children=dice.random() < 0.5)
        for at, name in zip(moments, names, strict=True)
    ]


async def carry_out(instance: Instance, kills: Sequence[Kill]) -> list[Death]:
    """Kill as planned, what is dead at its moment as soon as it lives, and wait until all are ready again."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    deaths: list[Death] = []
    async with asyncio.timeout(_PATIENCE_SECONDS + kills[-1].at), asyncio.TaskGroup() as recoveries:
        for kill in kills:
            await asyncio.sleep(begun + kill.at - loop.time())
            mark, process = await _living(instance, kill.name)
            family = process.children(recursive=True) if kill.with_children else []
            deaths.append(Death(kill.name, time.time()))
            for each in (process, *family):
                _kill(each)
            recoveries.create_task(_recovered(instance, deaths[-1], mark))
    return deaths


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        # A child that ended with its parent.
        return


async def _living(instance: Instance, name: str) -> tuple[ProcessMark, psutil.Process]:
    while True:
        mark = _entry(instance, name)[0]
        process = mark.process() if mark else None
        if mark is not None and process is not None:
            return mark, process
        await asyncio.sleep(_LOOK_SECONDS)


async def _recovered(instance: Instance, death: Death, before: ProcessMark) -> None:
    while True:
        mark, state = _entry(instance, death.name)
        if state is State.READY and mark != before:
            death.back = time.time()
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _entry(instance: Instance, name: str) -> tuple[ProcessMark | None, State]:
    found = next(each for each in instance.require_running().processes if each.name == name)
    return found.mark, found.state
