"""Gets a language model's answer to an order: from the ledger, else bought once and recorded before use."""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from services.runtime.errors import DependencyUnavailable
from services.runtime.telemetry import span
from services.synthesis import telemetry
from services.synthesis.flights import Flights
from services.synthesis.model import Answer, ModelUnavailable, Order
from services.synthesis.prompt import Prompt, prompt_for
from services.synthesis.store import Ledger

# What nobody can wait for is not begun.
_SHORTEST_WAIT_SECONDS: Final = 0.5
# An answer is paid for: PostgreSQL gets this long to come back and take it.
_RECORDING_SECONDS: Final = 30.0
_LATE: Final = "the language model did not answer in time"


class LanguageModel(Protocol):
    async def answer(self, model: str, prompt: Prompt) -> Answer:
        """The finished answer of the model of that name, or `ModelUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Purchases:
    model: LanguageModel
    ledger: Ledger
    flights: Flights[Answer]
    default_model: str
    timeout_seconds: float

    async def answer(self, order: Order, *, within_seconds: float | None) -> Answer:
        """The answer, or `ModelUnavailable`.

        A purchase that takes longer than the caller waits, or than the caller lives, is finished all the
        same, and recorded: the next who asks gets it. Nothing is bought while the ledger cannot be read.
        """
        recorded = await self.ledger.find(order)
        if recorded is not None:
            return recorded
        if within_seconds is not None and within_seconds < _SHORTEST_WAIT_SECONDS:
            raise ModelUnavailable("too little time was left to ask the language model")
        began = False

        async def begin() -> Answer:
            nonlocal began
            began = True
            return await self._buy(order)

        try:
            async with asyncio.timeout(within_seconds):
                answer = await self.flights.join((order.tenant, order.request_id), begin)
                # Who only joined reads the ledger, which refuses another order under the same id.
                return answer if began else await self.answer(order, within_seconds=within_seconds)
        except TimeoutError:
            raise ModelUnavailable(_LATE) from None

    async def _buy(self, order: Order) -> Answer:
        model = order.options.model or self.default_model
        try:
            with span(telemetry.BUY_SPAN, **{telemetry.MODEL_ATTRIBUTE: model}):
                async with asyncio.timeout(self.timeout_seconds):
                    answer = await self.model.answer(model, prompt_for(order))
        except TimeoutError:
            raise ModelUnavailable(_LATE) from None
        telemetry.count_purchase(answer.usage)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(DependencyUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(_RECORDING_SECONDS),
            reraise=True,
        ):
            with attempt:
                await self.ledger.record(order, answer)
        return answer
