"""Accepted work in a database without a worker, and the engine's choice of what to take up."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg
import sqlalchemy

from dossier.context.v1.ticket_pb2 import Ticket
from services.orchestrator.acceptance import Acceptance
from services.orchestrator.engine.claiming import Claiming
from services.orchestrator.engine.configuration import VERSION
from services.orchestrator.model import Accepted, EnhancementId, Offer, Purpose, Run, TenantId
from services.runtime.database import Database
from tests.support.databases import TestDatabase

_numbers = itertools.count(1)


def offer(tenant: str, *, priority: int = 3, **fields: object) -> Offer:
    number = next(_numbers)
    defaults: dict[str, object] = {
        "run": Run(TenantId(tenant), EnhancementId(f"run-{number:08}")),
        "purpose": Purpose.ENHANCE,
        "ticket": Ticket(id=str(number), tool="servicedesk_plus", subject=f"Ticket {number}"),
        "is_hint": False,
        "deliver": True,
        "priority": priority,
        "revision": f"r{number}",
    }
    return Offer(**{**defaults, **fields})  # type: ignore[arg-type]


class Backlog:
    def __init__(self, database: TestDatabase) -> None:
        self.database = Database.lazy(database.url("orchestrator"), role="dossier_orchestrator")
        self.admin_url = database.admin_url
        self._acceptance = Acceptance(self.database, settle_seconds=30)

    async def accept(self, *offers: Offer) -> list[Accepted]:
        return await self._acceptance.accept(offers)

    async def share(self, tenant: str, *, weight: int = 1, max_in_progress: int) -> None:
        """Let the queue know the tenant's share."""
        async with self.database.tenant(tenant) as connection:
            await connection.execute(
                "insert into orchestrator.queue_policies (tenant_id, weight, max_in_progress)"
                " values ($1, $2, $3)",
                *(tenant, weight, max_in_progress),
            )

    async def admin(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """As the superuser, for arranging and for looking at rows of all tenants."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()


@contextmanager
def claimer(
    database: TestDatabase,
    *,
    executor: str = "one",
    slots: int = 100,
    cap: int = 4,
    pressed: Callable[[], bool] = lambda: False,
    leased: Callable[[], bool] = lambda: True,
) -> Iterator[Claiming]:
    """As the engine of a replica of that name asks for runs."""
    url = sqlalchemy.make_url(database.url("orchestrator")).set(drivername="postgresql+psycopg")
    pool = sqlalchemy.create_engine(url, pool_size=1)
    try:
        yield Claiming(
            pool,
            version=VERSION,
            executor_id=executor,
            slots=slots,
            tenant_concurrency=cap,
            pressed=pressed,
            leased=leased,
        )
    finally:
        pool.dispose()
