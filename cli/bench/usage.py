"""Which process took how much CPU while something was measured."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

from cli.instance import InstanceRecord


@contextmanager
def cpu_cores(record: InstanceRecord) -> Iterator[dict[str, float]]:
    """Fill the yielded mapping, at the end, with the cores that each process took meanwhile."""
    taken: dict[str, float] = {}
    before, begun = _cpu_seconds(record), time.perf_counter()
    yield taken
    wall = time.perf_counter() - begun
    taken.update(
        (name, round((seconds - before.get(name, 0.0)) / wall, 2))
        for name, seconds in _cpu_seconds(record).items()
    )


def _cpu_seconds(record: InstanceRecord) -> Mapping[str, float]:
    """With the children alive: PostgreSQL's backends live as long as the pools that opened them."""
    seconds: dict[str, float] = {}
    for entry in record.processes:
        living = entry.mark.process() if entry.mark else None
        if living is None:
            continue
        for member in (living, *living.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used = member.cpu_times()
                seconds[entry.name] = seconds.get(entry.name, 0.0) + used.user + used.system
    return seconds
