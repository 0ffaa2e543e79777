"""What the rest of the service says to the engine."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from services.orchestrator.model import Run

QUEUE: Final = "enhancements"
"""The queue in which accepted work waits, a partition for each tenant."""


class Progress(StrEnum):
    GO_ON = "go_on"
    END = "end"


StepFunction: TypeAlias = Callable[[Run], Awaitable[Progress]]
"""Runs on the service's event loop and keeps its result before it returns. It raises only for bugs."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps in order, by the names under which their ends are kept. Neither changes while runs are open."""

    name: str
    steps: Mapping[str, StepFunction]
