"""A client's own limits, as the command takes them: a number, or `default` to have none of its own."""

from collections.abc import Mapping
from typing import Final

from cli.errors import UsageError
from dossier.tenants.v1.tenant_pb2 import TenantLimits

METAVAR: Final = "N|default"
_DEFAULT: Final = "default"


def limits_of(given: Mapping[str, str | None]) -> TenantLimits:
    """Read what is given by the names of the contract's fields; `default` leaves its field unset."""
    limits = TenantLimits()
    for name, text in given.items():
        if text is None or text == _DEFAULT:
            continue
        option = f"--limit-{name.removesuffix('_per_minute').replace('_', '-')}"
        if not (text.isascii() and text.isdigit()):
            raise UsageError(
                f"{option}: {text!r} is no limit.",
                hint="Give a whole number a minute, 0 for no limit, or default.",
            )
        try:
            setattr(limits, name, int(text))
        except ValueError:
            raise UsageError(
                f"{option}: {text} is more than a limit can be.", hint="0 is for no limit at all."
            ) from None
    return limits
