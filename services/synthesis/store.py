from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.runtime.database import Database
from services.synthesis.errors import RequestIdReused
from services.synthesis.model import Answer, Finish, Order, TenantId, Usage
from services.synthesis.prompt import VERSION


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What one model consumed in a period; `cost` in US dollars."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal


class Ledger:
    """Finished language-model calls, each tenant's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, order: Order) -> Answer | None:
        """The answer recorded for this order; `RequestIdReused` when it was another order's."""
        async with self._database.tenant(order.tenant) as connection:
            row = await connection.fetchrow(
                """
                select content_hash, model, answer, finish, prompt_tokens, completion_tokens, cost, estimated
                from synthesis.calls where tenant_id = $1 and request_id = $2
                """,
                order.tenant,
                order.request_id,
            )
        if row is None:
            return None
        if row["content_hash"] != order.content_hash:
            raise RequestIdReused(order.request_id)
        usage = Usage(
            model=row["model"],
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            cost=row["cost"],
            estimated=row["estimated"],
            from_ledger=True,
        )
        return Answer(row["answer"], Finish(row["finish"]), usage)

    async def record(self, order: Order, answer: Answer) -> None:
        """Keep a finished call. One that another replica finished meanwhile stays as it is."""
        async with self._database.tenant(order.tenant) as connection:
            await connection.execute(
                """
                insert into synthesis.calls
                    (tenant_id, request_id, content_hash, model, prompt_version, answer, finish,
                     prompt_tokens, completion_tokens, cost, estimated)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                on conflict do nothing
                """,
                order.tenant,
                order.request_id,
                order.content_hash,
                answer.usage.model,
                VERSION,
                answer.text,
                answer.finish.value,
                answer.usage.prompt_tokens,
                answer.usage.completion_tokens,
                answer.usage.cost,
                answer.usage.estimated,
            )

    async def usage(self, tenant: TenantId, *, start: datetime, end: datetime) -> Sequence[ModelUsage]:
        """What each model consumed from `start`, inclusive, to `end`, exclusive."""
        async with self._database.tenant(tenant) as connection:
            rows = await connection.fetch(
                """
                select model, count(*) as calls, sum(prompt_tokens)::bigint as prompt_tokens,
                       sum(completion_tokens)::bigint as completion_tokens, sum(cost) as cost
                from synthesis.calls
                where tenant_id = $1 and create_time >= $2 and create_time < $3
                group by model order by model
                """,
                tenant,
                start,
                end,
            )
        return [ModelUsage(**row) for row in rows]
