"""What a client's language models cost, as JSON and as tables, and how far its budget is used up."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.budgets import dollars
from cli.output import Json
from cli.words import iso, money
from dossier.synthesis.v1.budget_pb2 import BudgetPeriodUsage
from dossier.synthesis.v1.synthesis_service_pb2 import GetUsageResponse
from dossier.tenants.v1.tenant_pb2 import Budget

_BAR_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Usage:
    """`budget` is the client's as it is now; `told` may know of an older one."""

    tenant: str
    told: GetUsageResponse
    budget: Budget


def usage_json(usage: Usage) -> dict[str, Json]:
    told = usage.told
    return {
        "tenant": usage.tenant,
        "start": iso(told.start_time),
        "end": iso(told.end_time),
        "cost": told.cost,
        "models": [
            {
                "model": each.model,
                "calls": each.call_count,
                "prompt_tokens": each.prompt_tokens,
                "completion_tokens": each.completion_tokens,
                "cost": each.cost,
            }
            for each in told.models
        ],
        "budget": {
            "month": _period_json(told.budget.month, _month(usage)),
            "day": _period_json(told.budget.day, _day(usage)),
            "brief_micro_dollars": _given(usage.budget, "brief_micro_dollars"),
        },
    }


def usage_view(usage: Usage) -> RenderableType:
    told = usage.told
    budget = Table("", "", "spent", "reserved", "unconfirmed", "left", "of", "ends", box=None, pad_edge=False)
    budget.add_row(*_period_cells("month", told.budget.month, _month(usage)))
    budget.add_row(*_period_cells("day", told.budget.day, _day(usage)))
    models = Table("model", "calls", "read", "written", "cost", box=None, pad_edge=False, header_style="dim")
    for each in told.models:
        numbers = (f"{each.call_count:,}", f"{each.prompt_tokens:,}", f"{each.completion_tokens:,}")
        models.add_row(Text(each.model), *numbers, money(each.cost))
    heading = Text(f"{usage.tenant}, {iso(told.start_time)} to {iso(told.end_time)}", style="bold")
    brief = _given(usage.budget, "brief_micro_dollars")
    return Group(
        heading,
        models if told.models else Text("No language model was asked."),
        Text("\nBudget (UTC)", style="bold"),
        budget,
        *([] if brief is None else [Text(f"A brief may cost {dollars(brief)} at most.")]),
    )


def _month(usage: Usage) -> int | None:
    return _given(usage.budget, "month_micro_dollars")


def _day(usage: Usage) -> int | None:
    return _given(usage.budget, "day_micro_dollars")


def _given(budget: Budget, field: str) -> int | None:
    return next((value for known, value in budget.ListFields() if known.name == field), None)


def _used(period: BudgetPeriodUsage) -> int:
    return period.spent_micro_dollars + period.reserved_micro_dollars + period.unconfirmed_micro_dollars


def _period_json(period: BudgetPeriodUsage, limit: int | None) -> dict[str, Json]:
    return {
        "start": iso(period.start_time),
        "end": iso(period.end_time),
        "spent_micro_dollars": period.spent_micro_dollars,
        "reserved_micro_dollars": period.reserved_micro_dollars,
        "unconfirmed_micro_dollars": period.unconfirmed_micro_dollars,
        "limit_micro_dollars": limit,
        "left_micro_dollars": None if limit is None else max(0, limit - _used(period)),
    }


def _period_cells(name: str, period: BudgetPeriodUsage, limit: int | None) -> list[RenderableType]:
    amounts = (
        period.spent_micro_dollars,
        period.reserved_micro_dollars,
        period.unconfirmed_micro_dollars,
    )
    bar: RenderableType = ""
    left, of = "", "no limit"
    if limit is not None:
        # A limit of 0 is used up from the beginning.
        bar = ProgressBar(
            total=max(limit, 1), completed=min(_used(period), limit) if limit else 1, width=_BAR_WIDTH
        )
        left, of = dollars(max(0, limit - _used(period))), dollars(limit)
    return [name, bar, *map(dollars, amounts), left, of, iso(period.end_time) or ""]
