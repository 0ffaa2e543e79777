"""How much is measured: what `--seconds` and `--quick` decide."""

from dataclasses import dataclass
from typing import Self

from cli.bench.corpus import sizes_beside


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
    def chosen(cls, *, seconds: float | None, quick: bool, size: int | None) -> Self:
        """`size` is that of the largest client that is searched, beside nine smaller ones."""
        sizes = sizes_beside(size) if size is not None else (100, 1_000, *(() if quick else (10_000,)))
        if quick:
            return cls(seconds or 2, 1, (64,), sizes, 60, 10, 8, 12, 1_000, 1)
        return cls(seconds or 6, 2, (64, 128), sizes, 1_200, 60, 40, 120, 5_000, 2)
