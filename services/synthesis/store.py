from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

import asyncpg

from services.runtime.database import Database
from services.synthesis import store_budget
from services.synthesis.budget import Crossing, OverBudget, PeriodUsage
from services.synthesis.errors import RequestIdReused
from services.synthesis.model import (
    Answer,
    Call,
    Finish,
    Order,
    Provenance,
    PurchaseId,
    RequestId,
    TenantId,
    Usage,
)


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model consumed in a period; `cost` in US dollars."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal


class Held(Enum):
    """Who is to make a call that is not on record."""

    BY_CALLER = "claimed"
    BY_ANOTHER = "held"


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of wanting to make a call, and of what its budget is to be warned of."""

    outcome: Call | Held | OverBudget
    crossed: tuple[Crossing, ...] = ()


class Ledger:
    """Finished language-model calls, each tenant's own, and who is buying which one now.

    What a step does with the ledger and with the budget is one transaction: a function of the database each.
    """

    def __init__(self, database: Database, *, lease: timedelta) -> None:
        self._database = database
        self._lease = lease

    async def find(self, order: Order) -> Call | None:
        """The call recorded for this order; `RequestIdReused` when it was another order's."""
        async with self._database.tenant(order.tenant) as connection:
            row = await connection.fetchrow(
                "select * from synthesis.find_call($1, $2)", order.tenant, order.request_id
            )
        return None if row is None else _call_from(row, order)

    async def claim(self, order: Order, purchase: PurchaseId, at_most: Decimal) -> Claim:
        """The recorded call, or who is to make it: the caller from now on, or somebody who already does.

        Who is to make it has what it may cost set aside; where the order's budget has too little left, nobody
        makes it. `RequestIdReused` when it was, or is being made, for another order.
        """
        async with self._database.tenant(order.tenant) as connection:
            row = await connection.fetchrow(
                "select * from synthesis.claim_purchase($1, $2, $3, $4, $5)",
                *_key(order, purchase),
                self._lease,
            )
            if row is not None and row["outcome"] == Held.BY_CALLER.value:
                reserved = await store_budget.reserve(connection, order, purchase, at_most)
                return Claim(reserved.refusal or Held.BY_CALLER, reserved.crossed)
        if row is None:
            # It was another's a moment ago, and has just ended.
            return Claim(Held.BY_ANOTHER)
        if row["outcome"] == "recorded":
            return Claim(_call_from(row, order))
        _check_content(row, order)
        return Claim(Held.BY_ANOTHER)

    async def renew(self, order: Order, purchase: PurchaseId) -> None:
        """Put off the end of the lease; nothing happens where somebody has taken over."""
        async with self._database.tenant(order.tenant) as connection:
            await connection.execute(
                "select synthesis.renew_purchase($1, $2, $3, $4, $5)", *_key(order, purchase), self._lease
            )

    async def release(self, order: Order, purchase: PurchaseId, *, unpaid: bool) -> None:
        """Give up a claim without a call to record, and what was set aside for it, if it cost nothing.

        What may have been paid for stays set aside.
        """
        async with self._database.tenant(order.tenant) as connection:
            await connection.execute(
                "delete from synthesis.purchases"
                " where tenant_id = $1 and request_id = $2 and purchase_id = $3",
                order.tenant,
                order.request_id,
                purchase,
            )
            if unpaid:
                # In this order, as who takes a claim over: the claim's row is locked before the budget's.
                await store_budget.settle(connection, order.tenant, purchase, Decimal(0))

    async def record(self, order: Order, purchase: PurchaseId, call: Call) -> Call:
        """Keep a finished call, book its cost, and give up the claim.

        Returns the call that is on record now, which may be another's.

        `RequestIdReused` when that was another order's. Safe to repeat.
        """
        usage, provenance = call.answer.usage, call.provenance
        async with self._database.tenant(order.tenant) as connection:
            row = await connection.fetchrow(
                """
                select * from synthesis.record_purchase(
                    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
                )
                """,
                *_key(order, purchase),
                usage.model,
                provenance.prompt_version,
                provenance.instructions,
                provenance.release,
                call.answer.text,
                call.answer.finish.value,
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cost,
                usage.estimated,
            )
            await store_budget.settle(connection, order.tenant, purchase, usage.cost)
        return call if row is None else _call_from(row, order)

    async def usage(self, tenant: TenantId, *, start: datetime, end: datetime) -> Sequence[ModelUsage]:
        """What each model consumed from `start`, inclusive, to `end`, exclusive."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                """
                select model, count(*) as calls, sum(prompt_tokens)::bigint as prompt_tokens,
                       sum(completion_tokens)::bigint as completion_tokens, sum(cost) as cost
                from (
                    select model, prompt_tokens, completion_tokens, cost from synthesis.calls
                    where tenant_id = $1 and create_time >= $2 and create_time < $3
                    union all
                    select model, prompt_tokens, completion_tokens, cost from synthesis.surplus_calls
                    where tenant_id = $1 and create_time >= $2 and create_time < $3
                ) paid
                group by model order by model
                """,
                tenant,
                start,
                end,
            )
        return [ModelUsage(**row) for row in rows]

    async def budget_usage(self, tenant: TenantId) -> Sequence[PeriodUsage]:
        """How far the budgets of the current month and day are used up."""
        async with self._database.tenant(tenant) as connection:
            return await store_budget.usage(connection, tenant)


def _key(order: Order, purchase: PurchaseId) -> tuple[TenantId, RequestId, PurchaseId, bytes]:
    return order.tenant, order.request_id, purchase, order.content_hash


def _check_content(row: asyncpg.Record, order: Order) -> None:
    if row["content_hash"] != order.content_hash:
        raise RequestIdReused(order.request_id)


def _call_from(row: asyncpg.Record, order: Order) -> Call:
    _check_content(row, order)
    usage = Usage(
        model=row["model"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cost=row["cost"],
        estimated=row["estimated"],
        from_ledger=True,
    )
    provenance = Provenance(
        model=row["model"],
        instructions=row["instructions"],
        prompt_version=row["prompt_version"],
        release=row["release"],
    )
    return Call(Answer(row["answer"], Finish(row["finish"]), usage), provenance)
