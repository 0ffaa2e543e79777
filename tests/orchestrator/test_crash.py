"""What is accepted survives: the process is killed, and the next one finishes what it had begun."""

import asyncio
from collections.abc import Callable

import asyncpg

from cli.standins.servicedesk_plus import ServiceDesk
from cli.standins.servicedesk_plus.faults import Fault
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.client import SECONDS
from tests.orchestrator.peers import Peers
from tests.orchestrator.process import process
from tests.support.databases import TestDatabase
from tests.support.keys import Keys


async def test_killed_while_the_brief_is_written_it_is_not_gathered_or_bought_again(
    settings: OrchestratorSettings, keys: Keys, peers: Peers, desk: ServiceDesk
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    async with process(settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await first.acme.reached(enhancement_id, "synthesize")
        await first.kill()
    peers.synthesis.does.hold.set()

    async with process(settings, keys) as second:
        ended = await second.acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED, ended
    assert len(peers.history.does.calls) == len(peers.knowledge.does.calls) == 1
    assert list(peers.synthesis.bought.values()) == [1]
    assert len(desk.requests["1"].notes) == 1


async def test_killed_between_brief_and_note_it_posts_one_note_and_asks_for_no_second_brief(
    settings: OrchestratorSettings, keys: Keys, peers: Peers, desk: ServiceDesk
) -> None:
    # Delivery asks how the tool is reached, as gathering did before it.
    peers.tenants.does.hold, peers.tenants.does.hold_from = asyncio.Event(), 2
    async with process(settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await first.acme.reached(enhancement_id, "deliver")
        await first.kill()
    peers.tenants.does.hold.set()

    async with process(settings, keys) as second:
        ended = await second.acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert len(peers.synthesis.does.calls) == 1
    assert len(desk.requests["1"].notes) == 1


async def test_killed_while_the_tool_is_posting_it_finds_its_note(
    settings: OrchestratorSettings, keys: Keys, peers: Peers, desk: ServiceDesk
) -> None:
    desk.faults.inject(Fault(kind="slow", seconds=0.5, method="POST", path="/notes"))
    async with process(settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await _until(lambda: desk.faults.waiting == 0)
        await first.kill()
    await _until(lambda: bool(desk.requests["1"].notes))

    async with process(settings, keys) as second:
        ended = await second.acme.ended(enhancement_id)

    (note,) = desk.requests["1"].notes
    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert ended.note.id == note.id
    assert desk.calls.count("POST", "/notes") == 1
    assert len(peers.synthesis.does.calls) == 1


async def test_killed_before_the_engine_noted_the_end_of_steps_it_does_none_of_them_again(
    settings: OrchestratorSettings, keys: Keys, peers: Peers, desk: ServiceDesk, database: TestDatabase
) -> None:
    peers.tenants.does.hold, peers.tenants.does.hold_from = asyncio.Event(), 2
    async with process(settings, keys) as first:
        enhancement_id = await first.acme.submit_one("1")
        await first.acme.reached(enhancement_id, "deliver")
        await first.kill()
    peers.tenants.does.hold.set()
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("delete from dbos.operation_outputs")
    await admin.close()

    async with process(settings, keys) as second:
        ended = await second.acme.ended(enhancement_id)

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert len(peers.history.does.calls) == len(peers.synthesis.does.calls) == 1
    assert len(desk.requests["1"].notes) == 1


async def test_a_drained_process_ends_well_and_the_next_finishes_its_runs(
    settings: OrchestratorSettings, keys: Keys, peers: Peers, desk: ServiceDesk
) -> None:
    peers.synthesis.does.hold = asyncio.Event()
    async with process(settings, keys) as first:
        ids = [await first.acme.submit_one(str(number)) for number in range(1, 7)]
        await first.acme.reached(ids[0], "synthesize")
        assert await first.terminate() == 0
    peers.synthesis.does.hold.set()

    async with process(settings, keys) as second:
        ended = [await second.acme.ended(each) for each in ids]

    assert {each.state for each in ended} == {pb.ENHANCEMENT_STATE_SUCCEEDED}
    assert [len(desk.requests[str(number)].notes) for number in range(1, 7)] == [1] * 6
    assert set(peers.synthesis.bought.values()) == {1}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.01)
