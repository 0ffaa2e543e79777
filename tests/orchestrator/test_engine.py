"""Fairness between tenants, what is measured, and what is relied on in the engine."""

import asyncio
import logging
from collections import Counter

import httpx

from services.orchestrator.engine.backlog import backlog
from services.orchestrator.engine.quiet import tame
from services.runtime.database import Database
from tests.orchestrator.client import SECONDS, Client, submission
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import Orchestrator
from tests.support.databases import TestDatabase


async def in_synthesis(peers: Peers, **expected: int) -> None:
    """Wait until so many briefs of each tenant are being written."""
    async with asyncio.timeout(SECONDS):
        while Counter(tenant for tenant, _ in peers.synthesis.does.calls) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_tenant_with_much_to_do_leaves_room_for_the_others(
    acme: Client, globex: Client, peers: Peers
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    much = await acme.submit(*(submission(str(number)) for number in range(1, 11)))
    await in_synthesis(peers, acme=4)

    theirs = await globex.submit_one("1")

    await in_synthesis(peers, acme=4, globex=1)
    peers.synthesis.does.hold.set()
    await globex.ended(theirs)
    await acme.ended(much[-1].enhancement_id)


async def test_what_waits_is_counted_over_all_tenants(
    acme: Client, globex: Client, peers: Peers, database: TestDatabase
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    await acme.submit(*(submission(str(number)) for number in range(1, 7)))
    await globex.submit_one("1")
    await in_synthesis(peers, acme=4, globex=1)

    reader = Database.lazy(database.url("orchestrator"), role="dossier_orchestrator")
    now = await backlog(reader)
    await reader.close()

    assert (now.waiting, now.in_progress) == (2, 5)
    assert now.oldest_seconds > 0
    peers.synthesis.does.hold.set()


async def test_metrics_tell_of_what_was_accepted_and_how_it_ended(
    acme: Client, orchestrator: Orchestrator
) -> None:
    before = await metrics(orchestrator)
    same = submission("1")
    (first,) = await acme.submit(same)
    await acme.submit(same)
    await acme.ended(first.enhancement_id)
    await acme.ended(await acme.submit_one("404"))

    after = await metrics(orchestrator)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('dossier_orchestrator_accepted_total{result="created"}') == 2
    assert grown('dossier_orchestrator_accepted_total{result="known"}') == 1
    assert grown('dossier_orchestrator_finished_total{outcome="succeeded"}') == 1
    assert grown('dossier_orchestrator_finished_total{outcome="failed"}') == 1
    assert grown('dossier_orchestrator_step_seconds_count{state="succeeded",step="deliver"}') == 1
    assert "dossier_orchestrator_queue_depth" in after
    assert not any("acme" in name for name in after)


async def metrics(orchestrator: Orchestrator) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"{orchestrator.service.metrics_url}/metrics")).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_what_the_engine_says_again_and_again_is_logged_once() -> None:
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    ear = Ear()
    logging.getLogger().addHandler(ear)
    tame()
    tame()
    for _ in range(20):
        logging.getLogger("dbos").warning("the database is away, for this test")
    logging.getLogger().removeHandler(ear)

    assert said == ["the database is away, for this test"]
