"""Gets a language model's answer to an order: from the ledger, else bought once and recorded before use.

Who buys claims the purchase in the database first, for all replicas to see, and renews the claim while the
call is under way; record and end of the claim are one transaction. Whoever meets another's claim waits for
its record. A claim whose buyer was killed lapses, and the next who asks buys. A buyer that lost its claim,
because the database did not hear of it for a while, goes on all the same: the first answer recorded is
everybody's, and what was paid for a second one is counted.

What the answer may cost at most is set aside of the client's budget with the claim, and replaced with what
it cost by the record. A call that has certainly cost nothing gives it back; where any other ends without a
record it stays set aside.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Protocol
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from services.runtime.errors import DependencyUnavailable
from services.runtime.telemetry import span
from services.synthesis import telemetry
from services.synthesis.budget import Crossing, OverBudget
from services.synthesis.flights import Flights
from services.synthesis.model import (
    Answer,
    BudgetReached,
    Call,
    ModelUnavailable,
    Order,
    PriceUnknown,
    Provenance,
    PurchaseId,
)
from services.synthesis.prompt import Prompt, prompt_for
from services.synthesis.store import Held, Ledger

# What nobody can wait for is not begun.
_SHORTEST_WAIT_SECONDS: Final = 0.5
# Between two looks at another's purchase.
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 0.5
_LONGER: Final = 1.5
# Renewals within one lease: two may fail.
_RENEWALS: Final = 4
# An answer is paid for: PostgreSQL gets this long to come back and take it.
_RECORDING_SECONDS: Final = 30.0
_LATE: Final = "the language model did not answer in time"

_log = structlog.get_logger(__name__)


class LanguageModel(Protocol):
    def most(self, model: str, prompt: Prompt) -> Decimal:
        """What the answer may cost at most, in US dollars, or `PriceUnknown`."""
        ...

    async def answer(self, model: str, prompt: Prompt) -> Answer:
        """The finished answer of the model of that name, or `ModelUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Purchases:
    model: LanguageModel
    ledger: Ledger
    flights: Flights[Call | None]
    default_model: str
    timeout_seconds: float
    lease_seconds: float
    release: str

    async def call(self, order: Order, *, within_seconds: float | None) -> Call:
        """The finished call, or `ModelUnavailable`.

        A purchase that takes longer than the caller waits, or than the caller lives, is finished all the
        same, and recorded: the next who asks gets it. Nothing is bought while the ledger cannot be read.
        """
        loop = asyncio.get_running_loop()
        end = None if within_seconds is None else loop.time() + within_seconds
        excuse = "too little time was left to ask the language model"
        pause = _FIRST_PAUSE_SECONDS
        while end is None or end - loop.time() >= _SHORTEST_WAIT_SECONDS:
            try:
                async with asyncio.timeout_at(end):
                    call = await self._joined(order)
                    if call is not None:
                        return call
                    await asyncio.sleep(pause)
            except TimeoutError:
                raise ModelUnavailable(_LATE) from None
            excuse = _LATE
            pause = min(pause * _LONGER, _LONGEST_PAUSE_SECONDS)
        recorded = await self.ledger.find(order)
        if recorded is None:
            raise ModelUnavailable(excuse)
        return recorded

    async def _joined(self, order: Order) -> Call | None:
        """The call that this process has, gets or makes; None while another process makes it."""
        began = False

        async def begin() -> Call | None:
            nonlocal began
            began = True
            return await self._obtained(order)

        call = await self.flights.join((order.tenant, order.request_id, order.content_hash), begin)
        if call is None or began:
            return call
        # Bought by whoever began; for the others it stands in the ledger.
        return replace(call, answer=replace(call.answer, usage=replace(call.answer.usage, from_ledger=True)))

    async def _obtained(self, order: Order) -> Call | None:
        purchase, prompt = PurchaseId(uuid4()), prompt_for(order)
        try:
            at_most = self.model.most(self._model(order), prompt)
        except PriceUnknown:
            # What the model answered while it had a price is paid for.
            recorded = await self.ledger.find(order)
            if recorded is None:
                raise
            return recorded
        claim = await self.ledger.claim(order, purchase, at_most)
        for crossing in claim.crossed:
            _warn_of(crossing)
        match claim.outcome:
            case Call() as recorded:
                return recorded
            case OverBudget() as over:
                telemetry.count_refusal(over)
                raise BudgetReached(over)
            case Held.BY_ANOTHER:
                return None
            case Held.BY_CALLER:
                return await self._bought(order, purchase, prompt)

    async def _bought(self, order: Order, purchase: PurchaseId, prompt: Prompt) -> Call:
        try:
            async with self._renewed(order, purchase):
                return await self._recorded(order, purchase, await self._asked(order, prompt))
        except ModelUnavailable as problem:
            await self._release(order, purchase, unpaid=problem.unpaid)
            raise

    async def _recorded(self, order: Order, purchase: PurchaseId, call: Call) -> Call:
        """While the claim lives on: nobody buys what waits here to be recorded."""
        telemetry.count_purchase(call.answer.usage)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((DependencyUnavailable, TimeoutError)),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(_RECORDING_SECONDS),
            reraise=True,
        ):
            with attempt:
                return await self.ledger.record(order, purchase, call)
        raise AssertionError("the last attempt answers or raises")

    def _model(self, order: Order) -> str:
        return order.options.model or self.default_model

    async def _asked(self, order: Order, prompt: Prompt) -> Call:
        model = self._model(order)
        try:
            with span(telemetry.BUY_SPAN, **{telemetry.MODEL_ATTRIBUTE: model}):
                async with asyncio.timeout(self.timeout_seconds):
                    answer = await self.model.answer(model, prompt)
        except TimeoutError:
            raise ModelUnavailable(_LATE) from None
        return Call(answer, Provenance(model, prompt.instructions, prompt.version, self.release))

    @asynccontextmanager
    async def _renewed(self, order: Order, purchase: PurchaseId) -> AsyncIterator[None]:
        """Keep the claim alive inside. What goes wrong with that does not cost the answer."""
        renewing = asyncio.create_task(self._renew(order, purchase))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            if not renewing.cancelled() and (failure := renewing.exception()) is not None:
                _log.error("purchase_not_renewed", exc_info=failure)

    async def _renew(self, order: Order, purchase: PurchaseId) -> None:
        while True:
            await asyncio.sleep(self.lease_seconds / _RENEWALS)
            try:
                await self.ledger.renew(order, purchase)
            except (DependencyUnavailable, TimeoutError) as problem:
                _log.warning("purchase_not_renewed", problem=str(problem) or type(problem).__name__)

    async def _release(self, order: Order, purchase: PurchaseId, *, unpaid: bool) -> None:
        try:
            await self.ledger.release(order, purchase, unpaid=unpaid)
        except DependencyUnavailable as problem:
            # It lapses, and what was set aside stays so.
            _log.warning("purchase_not_released", problem=str(problem))


def _warn_of(crossing: Crossing) -> None:
    telemetry.count_crossing(crossing)
    _log.warning(
        "budget_running_out",
        period=crossing.limit.value,
        used_percent=crossing.percent,
        limit_dollars=str(crossing.most),
    )
