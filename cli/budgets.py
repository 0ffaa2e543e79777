"""A client's budget, as the command takes it: US dollars, or `none` for no limit."""

import re
from collections.abc import Mapping
from typing import Final

from cli.errors import UsageError
from dossier.tenants.v1.tenant_pb2 import Budget

METAVAR: Final = "DOLLARS|none"
_NONE: Final = "none"
MICRO: Final = "_micro_dollars"
"""How the contract ends the names of amounts."""
_DECIMALS: Final = 6
# No longer than what the contract has a number for.
_AMOUNT: Final = re.compile(r"(?P<whole>[0-9]{1,12})(?:\.(?P<decimals>[0-9]{1,6}))?")


def budget_of(given: Mapping[str, str | None]) -> Budget:
    """Read what is given by the names of the contract's fields; `none` leaves its field unset."""
    budget = Budget()
    for name, text in given.items():
        if text is not None and text != _NONE:
            setattr(budget, name, _micro_dollars(text, option=f"--budget-{name.removesuffix(MICRO)}"))
    return budget


def _micro_dollars(text: str, *, option: str) -> int:
    amount = _AMOUNT.fullmatch(text)
    if amount is None:
        raise UsageError(
            f"{option}: {text!r} is no budget.",
            hint="Give US dollars with six decimals at most, such as 25 or 0.50, 0 for no language model, or"
            " none for no limit.",
        )
    return int(amount["whole"] + (amount["decimals"] or "").ljust(_DECIMALS, "0"))


def dollars(micro_dollars: int) -> str:
    """`$12.50`; as many decimals as there are, two at least."""
    whole, millionths = divmod(micro_dollars, 10**_DECIMALS)
    return f"${whole:,}.{f'{millionths:06}'.rstrip('0').ljust(2, '0')}"
