"""What the rest of the service says to the engine."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.orchestrator.model import Run

QUEUE: Final = "enhancements"
"""The queue in which accepted work waits, a partition for each tenant."""
APPLICATION: Final = "dossier-orchestrator"
"""The engine's name for whose work it is."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process may work at, as long as nobody else has claimed it since."""

    run: Run
    owner: str
    """The engine's fencing token: what is kept under another one is refused."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A step that ended; `place` counts the steps of a workflow from 1."""

    place: int
    step: str


class Superseded(Exception):
    """The run is somebody else's by now, or nobody's: it was cancelled, or claimed after a lease ran out."""


RunFunction: TypeAlias = Callable[[Claim], Awaitable[None]]
"""Runs on the service's event loop and keeps what it does under the claim, its end or its return to the queue
included. A claim it leaves open is given back to the queue a moment later."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """`name` is that under which work is accepted."""

    name: str
    run: RunFunction
