"""Between the contract's millionths of a US dollar and the model's dollars."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from dossier.synthesis.v1 import budget_pb2
from services.synthesis.budget import Budget, PeriodUsage

_MILLIONTHS: Final = 6


def budget_from(message: budget_pb2.Budget) -> Budget:
    return Budget(
        month=_dollars(message.month_micro_dollars) if message.HasField("month_micro_dollars") else None,
        day=_dollars(message.day_micro_dollars) if message.HasField("day_micro_dollars") else None,
        brief=_dollars(message.brief_micro_dollars) if message.HasField("brief_micro_dollars") else None,
    )


def budget_usage_to(periods: Sequence[PeriodUsage]) -> budget_pb2.BudgetUsage:
    return budget_pb2.BudgetUsage(**{period.limit.value: _period_to(period) for period in periods})


def _period_to(period: PeriodUsage) -> budget_pb2.BudgetPeriodUsage:
    message = budget_pb2.BudgetPeriodUsage(
        spent_micro_dollars=_micro_dollars(period.spent),
        reserved_micro_dollars=_micro_dollars(period.reserved),
        unconfirmed_micro_dollars=_micro_dollars(period.unconfirmed),
    )
    message.start_time.FromDatetime(period.start)
    message.end_time.FromDatetime(period.end)
    if period.most is not None and period.left is not None:
        message.limit_micro_dollars = _micro_dollars(period.most)
        message.left_micro_dollars = _micro_dollars(period.left)
    return message


def _dollars(micro_dollars: int) -> Decimal:
    return Decimal(micro_dollars).scaleb(-_MILLIONTHS)


def _micro_dollars(dollars: Decimal) -> int:
    return int(dollars.scaleb(_MILLIONTHS))
