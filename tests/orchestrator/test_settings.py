"""What a client's settings do to its briefs, its notes and its share of the queue."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import grpc
import pytest
import redis
from pydantic import SecretStr

from cli.standins.servicedesk_plus import ServiceDesk
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.orchestrator.v1 import orchestrator_service_pb2 as service
from dossier.orchestrator.v1.queue_pb2 import (
    QUEUE_WEIGHT_PREFERRED,
    QUEUE_WEIGHT_PREMIUM,
    QUEUE_WEIGHT_STANDARD,
    Queue,
    QueueWeight,
)
from dossier.synthesis.v1.brief_pb2 import SECTION_KIND_FIRST_STEPS, SECTION_KIND_NETWORK
from dossier.synthesis.v1.synthesis_service_pb2 import WriteBriefRequest
from dossier.tenants.v1.tenant_pb2 import (
    NOTE_VISIBILITY_NOT_POSTED,
    BriefSettings,
    NoteSettings,
    QueueSettings,
)
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.errors import error_info
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import orchestrating
from tests.support.databases import TestDatabase
from tests.support.keys import Keys
from tests.support.polling import eventually

EFFECTIVE_SECONDS = 2.0
PREMIUM = QueueSettings(weight=QUEUE_WEIGHT_PREMIUM, max_in_progress=9)


async def queue_of(client: Client) -> Queue:
    metadata = client.acting("viewer")
    return (await client.stub.GetQueue(service.GetQueueRequest(), metadata=metadata)).queue


async def share_becomes(
    client: Client, weight: QueueWeight.ValueType, cap: int, *, within: float = EFFECTIVE_SECONDS
) -> None:
    async with asyncio.timeout(within + 0.5):
        while True:
            queue = await queue_of(client)
            if (queue.weight, queue.max_in_progress) == (weight, cap):
                return
            await asyncio.sleep(0.05)


async def test_sections_and_wishes_reach_the_writer(acme: Client, peers: Peers) -> None:
    wanted = [SECTION_KIND_FIRST_STEPS, SECTION_KIND_NETWORK]
    peers.tenants.brief = BriefSettings(sections=wanted, instructions="Call the users colleagues.")

    await acme.ended(await acme.submit_one("1"))

    ((_, request),) = peers.synthesis.does.calls
    assert isinstance(request, WriteBriefRequest)
    assert list(request.options.sections) == wanted
    assert request.options.additions == "Call the users colleagues."
    assert request.options.instructions == ""


async def test_a_brief_that_is_not_posted_is_kept_and_shown(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    peers.tenants.note = NoteSettings(visibility=NOTE_VISIBILITY_NOT_POSTED)

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    assert ended.brief.sections
    assert not ended.HasField("note")
    assert not desk.requests["1"].notes
    deliver = ended.steps[-1]
    assert (deliver.name, deliver.state) == ("deliver", pb.STEP_STATE_SKIPPED)
    assert "set note.visibility to private" in deliver.detail


async def test_a_run_keeps_the_revision_it_was_made_with_and_so_does_its_replay(
    acme: Client, peers: Peers
) -> None:
    peers.tenants.revision = 17
    ended = await acme.ended(await acme.submit_one("1"))
    peers.tenants.revision = 18
    request = service.ReplayEnhancementRequest(enhancement_id=ended.id)
    replay = (await acme.stub.ReplayEnhancement(request, metadata=acme.acting())).enhancement

    assert ended.settings_revision == 17
    assert (await acme.ended(replay.id)).settings_revision == 17


async def test_a_share_is_applied_to_a_client_that_is_idle_and_taken_back(
    acme: Client, globex: Client, peers: Peers
) -> None:
    peers.tenants.queues["acme"] = PREMIUM
    await share_becomes(acme, QUEUE_WEIGHT_PREMIUM, 9)
    assert (await queue_of(globex)).weight == QUEUE_WEIGHT_STANDARD

    del peers.tenants.queues["acme"]
    await share_becomes(acme, QUEUE_WEIGHT_STANDARD, 4)


async def test_a_share_that_was_set_while_nobody_ran_is_applied_at_the_start(
    settings: OrchestratorSettings, keys: Keys, peers: Peers
) -> None:
    peers.tenants.queues["acme"] = PREMIUM
    async with orchestrating(settings, keys) as orchestrator:
        await share_becomes(orchestrator.client("acme"), QUEUE_WEIGHT_PREMIUM, 9)


async def test_a_lost_tenants_service_leaves_the_shares_as_they_are(acme: Client, peers: Peers) -> None:
    peers.tenants.queues["acme"] = PREMIUM
    await share_becomes(acme, QUEUE_WEIGHT_PREMIUM, 9)

    await peers.stop("tenants")
    await asyncio.sleep(2)
    assert (await queue_of(acme)).weight == QUEUE_WEIGHT_PREMIUM

    peers.tenants.queues["acme"] = QueueSettings(weight=QUEUE_WEIGHT_PREFERRED)
    await peers.start("tenants")
    await share_becomes(acme, QUEUE_WEIGHT_PREFERRED, 4, within=20)


@pytest.fixture
async def told(settings: OrchestratorSettings, keys: Keys, redis_url: str) -> AsyncIterator[Client]:
    """Of one that hears notices."""
    hearing = settings.model_copy(update={"redis_url": SecretStr(redis_url), "redis_seconds": 5.0})
    async with orchestrating(hearing, keys) as orchestrator:
        with redis.Redis.from_url(redis_url) as client:
            await asyncio.to_thread(
                eventually, lambda: client.publish("dossier:tenants:changes", "nobody"), what="a listener"
            )
        yield orchestrator.client("acme")


async def test_a_notice_applies_a_share_sooner_than_the_next_look(
    told: Client, peers: Peers, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for weight in (QUEUE_WEIGHT_PREMIUM, QUEUE_WEIGHT_PREFERRED, QUEUE_WEIGHT_PREMIUM):
            peers.tenants.queues["acme"] = QueueSettings(weight=weight)
            client.publish("dossier:tenants:changes", "acme")
            # Three in a row within half a second each: the next look would be 1.5 s away.
            await share_becomes(told, weight, 4, within=0.3)


async def test_the_queues_own_verb_changes_the_settings(acme: Client, peers: Peers) -> None:
    request = service.UpdateQueueRequest(weight=QUEUE_WEIGHT_PREMIUM)
    changed = (await acme.stub.UpdateQueue(request, metadata=acme.acting("operator"))).queue

    assert changed.weight == QUEUE_WEIGHT_PREMIUM
    assert peers.tenants.queues["acme"].weight == QUEUE_WEIGHT_PREMIUM
    await asyncio.sleep(2)
    assert (await queue_of(acme)).weight == QUEUE_WEIGHT_PREMIUM


@pytest.mark.parametrize(
    "before", [None, QueueSettings(weight=QUEUE_WEIGHT_PREFERRED)], ids=["none", "another"]
)
async def test_shares_that_were_asked_for_before_a_change_do_not_undo_it(
    acme: Client, peers: Peers, before: QueueSettings | None
) -> None:
    if before is not None:
        peers.tenants.queues["acme"] = before
        await share_becomes(acme, QUEUE_WEIGHT_PREFERRED, 4)
    asked = len(peers.tenants.shares_asked)
    peers.tenants.shares_held = held = asyncio.Event()
    await asyncio.to_thread(eventually, lambda: len(peers.tenants.shares_asked) > asked, what="a look")

    request = service.UpdateQueueRequest(weight=QUEUE_WEIGHT_PREMIUM)
    changed = (await acme.stub.UpdateQueue(request, metadata=acme.acting("operator"))).queue
    assert changed.weight == QUEUE_WEIGHT_PREMIUM

    answered = peers.tenants.shares_answered
    held.set()
    # The next look begins when that answer was applied.
    while len(peers.tenants.shares_asked) < asked + 2:
        assert (await queue_of(acme)).weight == QUEUE_WEIGHT_PREMIUM
        await asyncio.sleep(0.02)
    assert peers.tenants.shares_answered > answered, "the look was given up"


async def test_a_share_from_a_clock_that_went_back_is_replaced(
    acme: Client, globex: Client, database: TestDatabase, peers: Peers
) -> None:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(
        "insert into orchestrator.queue_policies (tenant_id, weight, max_in_progress, read_time)"
        " values ('acme', 2, 9, now() + interval '1 day'), ('globex', 4, 9, now() + interval '1 day')"
        " on conflict (tenant_id) do update set weight = excluded.weight,"
        " max_in_progress = excluded.max_in_progress, read_time = excluded.read_time"
    )
    await connection.close()
    peers.tenants.queues["acme"] = PREMIUM

    await share_becomes(acme, QUEUE_WEIGHT_PREMIUM, 9)
    await share_becomes(globex, QUEUE_WEIGHT_STANDARD, 4)


async def test_a_replica_of_the_version_before_goes_on_to_apply_shares(database: TestDatabase) -> None:
    """Which says nothing of when it asked."""
    connection = await asyncpg.connect(database.url("orchestrator"))
    await connection.execute("select orchestrator.apply_shares($1, $2, $3)", ["acme"], [4], [9])
    await connection.close()

    admin = await asyncpg.connect(database.admin_url)
    row = await admin.fetchrow("select weight, max_in_progress from orchestrator.queue_policies")
    await admin.close()
    assert row is not None
    assert tuple(row) == (4, 9)


async def test_the_queue_of_a_client_that_there_is_not_has_no_share(acme: Client, peers: Peers) -> None:
    peers.tenants.base_urls = {}
    request = service.UpdateQueueRequest(max_in_progress=3)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.stub.UpdateQueue(request, metadata=acme.acting("operator"))

    info = error_info(raised.value)
    assert info is not None
    assert (raised.value.code(), info.reason) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")
    assert (await queue_of(acme)).max_in_progress == 4


async def test_without_tenants_the_verb_says_so_and_changes_nothing(acme: Client, peers: Peers) -> None:
    await peers.stop("tenants")
    request = service.UpdateQueueRequest(max_in_progress=3)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await acme.stub.UpdateQueue(request, metadata=acme.acting("operator"))

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await queue_of(acme)).max_in_progress == 4
    await peers.start("tenants")


async def test_shares_from_before_they_were_settings_become_settings(
    settings: OrchestratorSettings, database: TestDatabase, keys: Keys, peers: Peers
) -> None:
    """As the migration leaves them: of a client, of one that has a setting by now, of one that is gone."""
    peers.tenants.queues["globex"] = QueueSettings(weight=QUEUE_WEIGHT_PREFERRED)
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(
        "insert into orchestrator.queue_policies (tenant_id, weight, max_in_progress, pause_time, inherited)"
        " values ('acme', 4, 9, now(), true), ('globex', 4, null, null, true), ('gone', 2, 5, null, true)"
    )
    await connection.close()

    async with orchestrating(settings, keys) as orchestrator:
        await share_becomes(orchestrator.client("globex"), QUEUE_WEIGHT_PREFERRED, 4, within=10)
        await share_becomes(orchestrator.client("gone"), QUEUE_WEIGHT_STANDARD, 4, within=10)
        await share_becomes(orchestrator.client("acme"), QUEUE_WEIGHT_PREMIUM, 9)
        assert (await queue_of(orchestrator.client("acme"))).paused
    assert peers.tenants.queues["acme"] == PREMIUM
    assert peers.tenants.queues["globex"] == QueueSettings(weight=QUEUE_WEIGHT_PREFERRED)
    assert "gone" not in peers.tenants.queues
