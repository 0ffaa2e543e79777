"""The whole mesh, among stand-ins that count: killed at seeded moments, and told everything ten times.

Other seeds: `DOSSIER_CRASH_SEEDS="17 18" pytest tests/crash/test_mesh.py`.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Final

import httpx
import pytest
import pytest_asyncio

from cli.instance import Instance
from cli.rpc import calling
from cli.show.steps import ENDED
from cli.standins.servicedesk_plus import Fault
from cli.standins.servicedesk_plus import running as tool_running
from dossier.orchestrator.v1 import orchestrator_service_pb2 as orchestrator
from dossier.orchestrator.v1.enhancement_pb2 import ENHANCEMENT_STATE_SUCCEEDED, Enhancement
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from tests.crash.clients import Client, Ticket, created, deliver, desk_with, send_all
from tests.crash.counts import Findings, findings, noted
from tests.crash.kills import KINDS, carry_out, planned
from tests.crash.model import CountingModel
from tests.support.llm_endpoint import running as model_running
from tests.support.mesh import supervised

SEEDS: Final = [int(seed) for seed in os.environ.get("DOSSIER_CRASH_SEEDS", "2 3 8").split()]
"""Of those tried, ones whose kills of PostgreSQL, synthesis and the orchestrator meet calls in flight."""
TENANTS: Final = 5
TICKETS_EACH: Final = 60
SENDING_SECONDS: Final = 15.0
KILLING_SECONDS: Final = 20.0
SETTLING_SECONDS: Final = 60.0
_ORCHESTRATOR: Final = orchestrator.DESCRIPTOR.services_by_name["OrchestratorService"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[tuple[CountingModel, str]]:
    """The language model, and its address."""
    model = CountingModel(Random(SEEDS[0]))  # noqa: S311 - likewise
    async with model_running(model.endpoint) as base_url:
        yield model, base_url


@pytest.fixture(scope="module")
def instance(
    model: tuple[CountingModel, str], server_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """A mesh for this file alone; its logs stay with pytest's folders."""
    counting, base_url = model
    home = server_home / "crash"
    try:
        with supervised(home, counting.environment(base_url) | {"DOSSIER_LOG_FORMAT": "json"}) as instance:
            yield instance
    finally:
        shutil.copytree(home / "logs", tmp_path_factory.mktemp("crash") / "logs")


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_killed_every_ticket_taken_gets_one_note_and_none_is_paid_for_again(
    seed: int, instance: Instance, model: tuple[CountingModel, str]
) -> None:
    purchases = model[0].purchases
    dice = Random(seed)  # noqa: S311 - the same course for the same seed is the point
    kills = planned(seed, seconds=KILLING_SECONDS)
    async with AsyncExitStack() as tools:
        clients = [await client_of(instance, tools, tenant=f"seed-{seed}-{n}") for n in range(TENANTS)]
        tickets = [ticket_of(client, n, dice) for client in clients for n in range(1, TICKETS_EACH + 1)]
        moments = [dice.uniform(0, SENDING_SECONDS) for _ in tickets]

        deaths, _ = await asyncio.gather(carry_out(instance, kills), send_all(tickets, moments))
        await noted(tickets, within_seconds=SETTLING_SECONDS)
        unfinished = await asyncio.gather(*(settled(instance, client, tickets) for client in clients))

        found = findings(tickets, purchases, deaths)
        story = f"seed {seed}\nplanned: {kills}\nhappened: {deaths}\n{unfinished=}"
        assert found == Findings(), story
        assert unfinished == [[]] * TENANTS, story
        assert {death.name for death in deaths} == set(KINDS)
        assert sum(1 for ticket in tickets if purchases[ticket.case]) > len(tickets) / 2


async def test_a_webhook_sent_ten_times_at_once_and_again_later_is_one_enhancement_one_note_one_purchase(
    instance: Instance, model: tuple[CountingModel, str]
) -> None:
    desk = desk_with(3, case="case-again")
    async with tool_running(desk) as url, httpx.AsyncClient(timeout=30, trust_env=False) as http:
        client = await created(instance, "again", desk, desk_url=url)
        tickets = [
            Ticket(client, "1", "case-again-1", is_hint=False),
            Ticket(client, "2", "case-again-2", is_hint=True),
            Ticket(client, "3", "case-again-3", is_hint=False, delivery_id=""),
        ]

        await asyncio.gather(*(deliver(http, ticket) for ticket in tickets * 10))
        await noted(tickets, within_seconds=SETTLING_SECONDS)
        await asyncio.gather(*(deliver(http, ticket) for ticket in tickets * 10))
        unfinished = await settled(instance, client, tickets)

    assert [sorted(ticket.statuses) for ticket in tickets] == [[*[200] * 19, 202]] * 3
    assert unfinished == []
    assert findings(tickets, model[0].purchases, []) == Findings()
    assert [len(model[0].purchases[ticket.case]) for ticket in tickets] == [1, 1, 1]


async def client_of(instance: Instance, tools: AsyncExitStack, *, tenant: str) -> Client:
    desk = desk_with(TICKETS_EACH, case=f"case-{tenant}")
    url = await tools.enter_async_context(tool_running(desk))
    # The tools have troubles of their own: a note that lands while its reply is lost, or is long in coming.
    desk.faults.inject(Fault(kind="lost_reply", count=2, method="POST", path="/notes"))
    desk.faults.inject(Fault(kind="slow", count=2, seconds=1, method="POST", path="/notes"))
    desk.faults.inject(Fault(kind="error", count=1, method="POST", path="/notes"))
    return await created(instance, tenant, desk, desk_url=url)


def ticket_of(client: Client, number: int, dice: Random) -> Ticket:
    case = f"case-{client.tenant}-{number}"
    return Ticket(client, str(number), case, is_hint=dice.random() < 0.2)


async def settled(instance: Instance, client: Client, tickets: Sequence[Ticket]) -> list[str]:
    """Wait until nothing is under way any more; what then did not end well, or is one too many."""
    deadline = time.monotonic() + SETTLING_SECONDS
    enhancements = await every(instance, client)
    while any(each.state not in ENDED for each in enhancements) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        enhancements = await every(instance, client)
    expected = {one for ticket in tickets if ticket.client is client for one in ticket.enhancement_ids}
    return [
        str(each)
        for each in enhancements
        if each.state != ENHANCEMENT_STATE_SUCCEEDED or each.id not in expected
    ]


async def every(instance: Instance, client: Client) -> list[Enhancement]:
    async with calling(
        instance, "orchestrator", descriptors=[_ORCHESTRATOR], tenant=client.tenant
    ) as channel:
        page = await OrchestratorServiceStub(channel).ListEnhancements(
            orchestrator.ListEnhancementsRequest(page_size=1000), timeout=10
        )
    return list(page.enhancements)
