"""What a client may spend on language models, how far that is used up, and what a brief says then."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import assert_never


class Limit(Enum):
    MONTH = "month"
    DAY = "day"
    BRIEF = "brief"


@dataclass(frozen=True, slots=True)
class Budget:
    """The most in US dollars; None is no limit, 0 no language model at all."""

    month: Decimal | None = None
    day: Decimal | None = None
    brief: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OverBudget:
    """A call that is not made, and the limit that it might have passed."""

    limit: Limit
    most: Decimal
    end: datetime | None
    """Of the month or the day."""

    @property
    def told(self) -> str:
        """For the brief's reader."""
        if self.most == 0:
            return "this client's budget has no language model in it"
        until = f"until {self.end:%Y-%m-%d} (UTC)" if self.end is not None else ""
        match self.limit:
            case Limit.MONTH:
                return f"this client's monthly budget for the language model is used up {until}"
            case Limit.DAY:
                return f"this client's daily budget for the language model is used up {until}"
            case Limit.BRIEF:
                return "the language model might have cost more than one brief may for this client"
            case _:
                assert_never(self.limit)


@dataclass(frozen=True, slots=True)
class Crossing:
    """So many per cent of a limit are used up, for the first time in its period."""

    limit: Limit
    most: Decimal
    percent: int


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """How far the budget of a month or a day is used up, in US dollars."""

    limit: Limit
    start: datetime
    end: datetime
    spent: Decimal
    reserved: Decimal
    """For calls under way."""
    unconfirmed: Decimal
    """For calls that nobody knows the outcome of."""
    most: Decimal | None

    @property
    def left(self) -> Decimal | None:
        if self.most is None:
            return None
        return max(Decimal(0), self.most - self.spent - self.reserved - self.unconfirmed)
