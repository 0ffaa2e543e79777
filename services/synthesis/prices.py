"""What a call costs in US dollars: the configured price, else the published one."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from services.synthesis.model import PriceUnknown

_MILLION: Final = Decimal(1_000_000)
_MILLIONTH: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Prices:
    """Configured prices, in US dollars per million tokens; None means as published."""

    input: Decimal | None
    output: Decimal | None

    def check(self, model: str) -> None:
        """`PriceUnknown` unless what the model costs can be said."""
        self.cost(model, prompt_tokens=0, completion_tokens=0)

    def cost(self, model: str, *, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """US dollars, rounded up to the millionth; raises `PriceUnknown`."""
        if self.input is not None and self.output is not None:
            total = (prompt_tokens * self.input + completion_tokens * self.output) / _MILLION
        else:
            usage = PricedUsage(input_tokens=prompt_tokens, output_tokens=completion_tokens)
            try:
                total = calc_price(usage, model_ref=model).total_price
            except LookupError:
                raise PriceUnknown(
                    f"no price is known for the model {model}; set DOSSIER_SYNTHESIS_LLM_INPUT_PRICE"
                    " and DOSSIER_SYNTHESIS_LLM_OUTPUT_PRICE"
                ) from None
        return total.quantize(_MILLIONTH, rounding=ROUND_CEILING)
