"""Budgets in the database: what is reserved and settled happens in the ledger's own transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from services.runtime.database import Connection, Row
from services.synthesis.budget import Crossing, Limit, OverBudget, PeriodUsage
from services.synthesis.model import Order, PurchaseId, TenantId


@dataclass(frozen=True, slots=True)
class Reserved:
    """`refusal` is None where the call may be made."""

    refusal: OverBudget | None
    crossed: tuple[Crossing, ...]


async def reserve(connection: Connection, order: Order, purchase: PurchaseId, at_most: Decimal) -> Reserved:
    """Set aside what a call may cost, or give up the claim to it."""
    budget = order.options.budget
    rows = await connection.fetch(
        "select * from synthesis.reserve_purchase($1, $2, $3, $4, $5, $6, $7)",
        *(order.tenant, order.request_id, purchase, at_most),
        *(budget.month, budget.day, budget.brief),
    )
    refusals = [_refusal_from(row) for row in rows if row["refused"]]
    crossed = tuple(
        Crossing(Limit(row["limited"]), row["spending_limit"], row["used_percent"])
        for row in rows
        if not row["refused"]
    )
    return Reserved(refusals[0] if refusals else None, crossed)


async def settle(connection: Connection, tenant: TenantId, purchase: PurchaseId, cost: Decimal) -> None:
    """Replace what was set aside by what the call cost. Safe to repeat."""
    await connection.execute("select synthesis.settle_purchase($1, $2, $3)", tenant, purchase, cost)


async def usage(connection: Connection, tenant: TenantId) -> Sequence[PeriodUsage]:
    """The current month's and the current day's."""
    rows = await connection.fetch("select * from synthesis.find_budget($1, clock_timestamp())", tenant)
    return [
        PeriodUsage(
            limit=Limit(row["period"]),
            start=_midnight(row["start_date"]),
            end=_midnight(row["end_date"]),
            spent=row["spent"],
            reserved=row["reserved"],
            unconfirmed=row["unconfirmed"],
            most=row["spending_limit"],
        )
        for row in rows
    ]


def _refusal_from(row: Row) -> OverBudget:
    end = row["end_date"]
    return OverBudget(
        Limit(row["limited"]), row["spending_limit"], _midnight(end) if end is not None else None
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
