"""So much in a minute, for all gateways together, at a fraction of a round trip each.

A window begins with the first take and ends a minute later. Redis knows how much of the limit is handed out
in it. A gateway takes a slice, a hundredth of the limit, and counts it down in memory; it asks for all that
wait meanwhile. What is left of a slice lapses with its window. How much was left in Redis is remembered, so
that a flood of refusals costs no round trips.

Exactly, with however many gateways:
- in a window no more than the limit is let through: nothing is handed out twice, and a slice's end is
  reckoned from before it was asked for, so that none is used in the next window;
- any minute touches two windows at most, so it sees no more than twice the limit;
- n gateways may refuse (n - 1) * (slice - 1) too soon, which lie in the others' slices. Below a limit of 200
  a slice is one, and nothing is refused too soon.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.counts import SharedCounts
from gateway.telemetry import limits_unavailable

WINDOW_SECONDS: Final = 60
_SLICES: Final = 100
_MOST_HOLDERS: Final = 65_536


class Holder(NamedTuple):
    """Whom it is counted for."""

    tenant: str | None = None
    name: str = ""
    """Of a key or an address, where it is not the client as a whole."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has left, as far as this gateway knows."""

    granted: bool
    amount: int
    limit: int
    left: int
    seconds: float
    """Until the window ends."""
    until: float
    """When it ends here."""


@dataclass(slots=True)
class _Share:
    """What this gateway has of one holder's limit."""

    limit: int
    left: int
    """In Redis, at most."""
    here: int = 0
    until: float = 0.0
    """No later than the window ends."""
    ended: float = 0.0
    """No sooner than the window ends: when it is worth coming back."""
    waiting: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Quota:
    """One limit, 0 for none, that each of its holders has for itself; some have another, which may change.

    Without any Redis each gateway counts alone. While the one there should be is away, `open_without` says
    whether everybody is let through, or each gateway counts alone.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        counts: SharedCounts | None,
        *,
        open_without: bool = True,
    ) -> None:
        self.name = name
        self.limit = limit
        self._counts = counts
        self._open_without = open_without
        self._shares: dict[Holder, _Share] = {}

    def spent(self, holder: Holder) -> float:
        """Seconds until there is something left again, as far as is known here; 0 where there is."""
        share = self._shares.get(holder)
        if share is None or share.here + share.left > 0:
            return 0.0
        return max(0.0, share.until - time.monotonic())

    async def take(self, holder: Holder, amount: int = 1, *, limit: int | None = None) -> Standing | None:
        """Take that much, or nothing; None where it was let through without being counted.

        What is more than the whole limit takes the whole: there is no minute in which it would fit. `limit`
        is the holder's own, where it has one.
        """
        limit = self.limit if limit is None else limit
        if not limit:
            return None
        amount = min(amount, limit)
        share = self._share(holder, limit)
        standing = self._standing(share, amount)
        if standing is not None:
            return standing
        share.waiting += amount
        try:
            async with share.asking:
                while (standing := self._standing(share, amount)) is None:
                    if not await self._refill(share, self._key(holder), amount):
                        limits_unavailable.inc()
                        return None
                return standing
        finally:
            share.waiting -= amount

    def give_back(self, holder: Holder, standing: Standing, amount: int) -> None:
        """Undo so much of a take; of one in a window that has ended there is nothing to undo."""
        share = self._shares.get(holder)
        if share is not None and share.until == standing.until:
            share.here += amount

    def _key(self, holder: Holder) -> str:
        return f"dossier:gateway:{holder.tenant or '-'}:limit:{self.name}:{holder.name}"

    def _share(self, holder: Holder, limit: int) -> _Share:
        share = self._shares.get(holder)
        if share is not None and share.limit != limit:
            self._resize(share, limit)
        if share is None:
            if len(self._shares) >= _MOST_HOLDERS:
                # The oldest: dictionaries remember the order.
                del self._shares[next(iter(self._shares))]
            share = self._shares[holder] = _Share(limit, limit)
        return share

    def _resize(self, share: _Share, limit: int) -> None:
        """What was taken stays taken. A slice of the old limit may be more than the new one, and lapses."""
        more = limit - share.limit
        if self._counts is None:
            share.here = max(0, share.here + more)
        else:
            share.here, share.left = 0, max(0, share.left + more)
        share.limit = limit

    def _standing(self, share: _Share, amount: int) -> Standing | None:
        """Decide with what is here; None where Redis has to be asked."""
        now = time.monotonic()
        if now >= share.until:
            share.here, share.left = 0, share.limit
            return None
        granted = amount <= share.here
        if granted:
            share.here -= amount
        elif amount <= share.here + share.left:
            return None
        left = share.here + share.left
        return Standing(granted, amount, share.limit, left, share.ended - now, share.until)

    async def _refill(self, share: _Share, key: str, amount: int) -> bool:
        asked = time.monotonic()
        if self._counts is None:
            self._count_alone(share, asked)
            return True
        need = amount - share.here
        handed = await self._counts.hand_out(
            key,
            limit=share.limit,
            window_seconds=WINDOW_SECONDS,
            need=need,
            want=max(need, share.limit // _SLICES, share.waiting - share.here),
        )
        answered = time.monotonic()
        if answered >= share.until:
            # The next window may have begun on the way; what is here is of the last one.
            share.here = 0
        if handed is not None:
            share.here += handed.granted
            share.left = handed.left
            share.until, share.ended = asked + handed.seconds, answered + handed.seconds
        elif self._open_without:
            return False
        else:
            limits_unavailable.inc()
            self._count_alone(share, asked)
        return True

    def _count_alone(self, share: _Share, now: float) -> None:
        share.here, share.left = share.limit, 0
        share.until = share.ended = now + WINDOW_SECONDS
