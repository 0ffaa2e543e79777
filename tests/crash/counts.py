"""What must be true when all is over, counted where it would hurt: at the ticketing tools and the model."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.crash.clients import Ticket
from tests.crash.kills import Death
from tests.crash.model import Purchase

_LOOK_SECONDS: Final = 0.1
_RECORDED_WITHIN_SECONDS: Final = 2.0
"""Synthesis has this long to have an answer in its ledger, PostgreSQL being there."""
_RECONNECTED_WITHIN_SECONDS: Final = 4.0
"""And this long once PostgreSQL is back: its longest pause between two tries is 2 s."""

_READ_WITHIN_SECONDS: Final = 0.5
"""What synthesis sent last, the model reads this late at most: while a new synthesis is still starting."""


@dataclass(slots=True)
class Findings:
    """Tickets by what is wrong with them; nothing is, when all is empty."""

    not_taken: list[str] = field(default_factory=list)
    of_several_enhancements: dict[str, set[str]] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)
    without_a_note: list[str] = field(default_factory=list)
    with_several_notes: dict[str, int] = field(default_factory=dict)
    with_a_note_of_another: list[str] = field(default_factory=list)
    bought_again: dict[str, list[Purchase]] = field(default_factory=dict)


def findings(
    tickets: Sequence[Ticket], purchases: Mapping[str, Sequence[Purchase]], deaths: Sequence[Death]
) -> Findings:
    found = Findings()
    for ticket in tickets:
        if not ticket.taken:
            found.not_taken.append(ticket.case)
        if len(ticket.enhancement_ids) > 1:
            found.of_several_enhancements[ticket.case] = ticket.enhancement_ids
        if any(400 <= status < 500 for status in ticket.statuses):
            found.refused[ticket.case] = ticket.statuses
        match ticket.notes:
            case []:
                found.without_a_note.append(ticket.case)
            case [note]:
                if not any(each in note for each in ticket.enhancement_ids):
                    found.with_a_note_of_another.append(ticket.case)
            case several:
                found.with_several_notes[ticket.case] = len(several)
        bought = purchases.get(ticket.case, [])
        if any(not excused(first, deaths) for first in bought[:-1]):
            found.bought_again[ticket.case] = list(bought)
    return found


def excused(purchase: Purchase, deaths: Sequence[Death]) -> bool:
    """Whether synthesis died before it can be expected to have recorded this answer.

    PostgreSQL away is no excuse by itself: synthesis holds on to the answer until it is back.
    """
    due = purchase.answered + _RECORDED_WITHIN_SECONDS
    for death in sorted(deaths, key=lambda death: death.at):
        if death.name == "postgres" and purchase.asked - _RECORDED_WITHIN_SECONDS <= death.at <= due:
            due = max(due, (death.back or time.time()) + _RECONNECTED_WITHIN_SECONDS)
        if death.name == "synthesis" and purchase.asked - _READ_WITHIN_SECONDS <= death.at <= due:
            return True
    return False


async def noted(tickets: Sequence[Ticket], *, within_seconds: float) -> None:
    """Wait until every ticket has a note, or in vain: what is missing then is for the findings to say."""
    deadline = time.monotonic() + within_seconds
    missing = list(tickets)
    while missing and time.monotonic() < deadline:
        missing = [ticket for ticket in missing if not ticket.notes]
        await asyncio.sleep(_LOOK_SECONDS)
