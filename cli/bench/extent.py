"""How much is measured: what `--seconds` and `--quick` decide."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Extent:
    seconds: float
    """How long each load lasts."""
    warmup_seconds: float
    webhook_callers: tuple[int, ...]
    tenant_tickets: tuple[int, ...]
    """The sizes of the clients that are searched."""
    backlog: int
    """Tickets submitted at once."""
    backlog_seconds: float
    """The longest wait for the backlog; what has ended by then counts."""
    light: int
    """Tickets submitted one after the other."""
    trickle: int
    """Tickets of the client with a trickle."""
    flood: int
    """Tickets that another client has queued beside it."""

    turns: int
    """Times that the same is measured with and without guards."""

    @classmethod
    def chosen(cls, *, seconds: float | None, quick: bool) -> Self:
        if quick:
            return cls(seconds or 2, 1, (64,), (100, 1_000), 60, 10, 8, 12, 1_000, 1)
        return cls(seconds or 6, 2, (64, 128), (100, 1_000, 10_000), 1_200, 60, 40, 120, 5_000, 2)
