from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

import asyncpg

from services.runtime.database import Database
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
    """What a claim may be answered instead of a call."""

    BY_CALLER = "claimed"
    BY_ANOTHER = "held"


class Ledger:
    """Finished language-model calls, each tenant's own, and who is buying which one now.

    Each of the methods but `usage` is one function of the database: one round trip in its transaction.
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

    async def claim(self, order: Order, purchase: PurchaseId) -> Call | Held:
        """The recorded call, or who is to make it: the caller from now on, or somebody who already does.

        `RequestIdReused` when it was, or is being made, for another order.
        """
        async with self._database.tenant(order.tenant) as connection:
            row = await connection.fetchrow(
                "select * from synthesis.claim_purchase($1, $2, $3, $4, $5)",
                *_key(order, purchase),
                self._lease,
            )
        if row is None:
            # It was another's a moment ago, and has just ended.
            return Held.BY_ANOTHER
        match row["outcome"]:
            case "recorded":
                return _call_from(row, order)
            case "claimed":
                return Held.BY_CALLER
            case _:
                _check_content(row, order)
                return Held.BY_ANOTHER

    async def renew(self, order: Order, purchase: PurchaseId) -> None:
        """Put off the end of the lease; nothing happens where somebody has taken over."""
        async with self._database.tenant(order.tenant) as connection:
            await connection.execute(
                "select synthesis.renew_purchase($1, $2, $3, $4, $5)", *_key(order, purchase), self._lease
            )

    async def release(self, order: Order, purchase: PurchaseId) -> None:
        """Give up a claim without a call to record."""
        async with self._database.tenant(order.tenant) as connection:
            await connection.execute(
                "delete from synthesis.purchases"
                " where tenant_id = $1 and request_id = $2 and purchase_id = $3",
                order.tenant,
                order.request_id,
                purchase,
            )

    async def record(self, order: Order, purchase: PurchaseId, call: Call) -> Call:
        """Keep a finished call and give up the claim; the call that is on record now, which may be another's.

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
