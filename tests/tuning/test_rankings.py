"""A client's own weights and floor: what searches it, from when on, and while the tenants service is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc

from dossier.history.v1 import history_service_pb2 as pb
from dossier.history.v1.past_ticket_pb2 import PastTicket
from dossier.tenants.v1.retrieval_pb2 import RankingSettings, RetrievalSettings
from dossier.tenants.v1.tenant_pb2 import Tenant
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.serve import serving
from services.tenants.service import build
from services.tenants.settings import TenantsSettings
from tests.history import client as history_client
from tests.history.conftest import running_history, settings_for
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.tenants.client import Client
from tests.tenants.conftest import key_file, settings

__all__ = ["key_file", "settings"]

TICKETS = [
    PastTicket(id="1", title="Plotter smears magenta streaks"),
    PastTicket(id="2", title="Turnstile rejects visitor badges"),
    PastTicket(id="3", title="Beamer flickers in the auditorium tonight"),
    PastTicket(id="4", title="Order of a new badge printer"),
]
QUESTION = pb.SearchSimilarTicketsRequest(subject="Plotter smears magenta")
EFFECTIVE_SECONDS = 2.0
NO_FLOOR_REACHED = Tenant(retrieval=RetrievalSettings(tickets=RankingSettings(floor=1)))


async def test_a_clients_own_floor_counts_within_two_seconds_and_while_tenants_is_away(
    settings: TenantsSettings, database: TestDatabase, keys: Keys, tmp_path: Path
) -> None:
    async with AsyncExitStack() as tenants_runs, AsyncExitStack() as closers:
        tenants = await tenants_runs.enter_async_context(serving("tenants", settings, build))
        channel = await tenants_runs.enter_async_context(grpc.aio.insecure_channel(tenants.target))
        operator = Client(
            TenantServiceStub(channel), keys.metadata("tenants", role="operator", subject="cli")
        )
        own = settings_for(database, keys, tenants_target=tenants.target)
        stub = await closers.enter_async_context(running_history(own))
        acme, globex = (
            history_client.Client(stub, keys.metadata("history", tenant=name)) for name in ("acme", "globex")
        )
        for name, each in (("acme", acme), ("globex", globex)):
            new = Tenant(id=name, display_name=name)
            new.ticketing.tool = "servicedesk_plus"
            await operator.create(new)
            await each.import_(*TICKETS)
        assert await _found(acme)

        begun = time.monotonic()
        await operator.update("acme", NO_FLOOR_REACHED, "retrieval.tickets.floor")
        await _until(lambda: _is_nothing(acme))
        # And what a busy machine adds to that: without notice and polling it would be never.
        assert time.monotonic() - begun < EFFECTIVE_SECONDS + 3
        assert await _found(globex)

        overridden = pb.SearchSimilarTicketsRequest(subject=QUESTION.subject, min_score=0.1)
        assert await acme.search(overridden)

        await tenants_runs.aclose()
        await asyncio.sleep(EFFECTIVE_SECONDS)
        assert not await _found(acme)
        assert await _found(globex)


async def test_before_tenants_has_ever_answered_searches_are_as_calibrated(
    database: TestDatabase, keys: Keys
) -> None:
    async with running_history(settings_for(database, keys, tenants_target="localhost:1")) as stub:
        acme = history_client.Client(stub, keys.metadata("history", tenant="acme"))
        await acme.import_(*TICKETS)

        assert await _found(acme)
        assert not await acme.found("Please order a wedding cake, tonight")


async def _found(client: history_client.Client) -> list[str]:
    return [each.ticket.id for each in await client.search(QUESTION)]


async def _is_nothing(client: history_client.Client) -> bool:
    return not await _found(client)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
