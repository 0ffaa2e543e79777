"""What the orchestrator believes of a tenant is forgotten when the tenant is said to have changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis
from pydantic import SecretStr

from cli.standins.servicedesk_plus import ServiceDesk
from services.orchestrator import peers as called
from services.orchestrator.pace import Pace
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.tool import Tools, ToolSessions
from services.runtime.caller import acting_for
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import orchestrating
from tests.support.keys import Keys
from tests.support.polling import eventually
from ticketing.discovery import load_tools

CHANNEL = "dossier:tenants:changes"


@pytest.fixture
async def believing(settings: OrchestratorSettings, keys: Keys, redis_url: str) -> AsyncIterator[Client]:
    """It would believe its tenants for an hour."""
    updated = settings.model_copy(
        update={"redis_url": SecretStr(redis_url), "redis_seconds": 5.0, "tenant_cache_seconds": 3600.0}
    )
    async with orchestrating(updated, keys) as orchestrator:
        with redis.Redis.from_url(redis_url) as client:
            await asyncio.to_thread(
                eventually, lambda: client.pubsub_numsub(CHANNEL)[0][1] == 1, what="a listener"
            )
        yield orchestrator.client("acme")


async def test_settings_and_credentials_count_at_once_when_they_are_said_to_have_changed(
    believing: Client, peers: Peers, desk: ServiceDesk, redis_url: str
) -> None:
    assert (await believing.ended(await believing.submit_one("1"))).HasField("note")
    peers.tenants.base_urls = {}
    # Nobody has said so yet.
    assert (await believing.ended(await believing.submit_one("2"))).HasField("note")

    with redis.Redis.from_url(redis_url) as client:
        client.publish(CHANNEL, "globex")
        assert (await believing.ended(await believing.submit_one("3"))).HasField("note")
        client.publish(CHANNEL, "acme")

    assert not (await believing.ended(await believing.submit_one("4"))).HasField("note")
    assert not desk.requests["4"].notes


async def test_an_answer_that_was_under_way_is_not_believed(
    settings: OrchestratorSettings, peers: Peers
) -> None:
    async with AsyncExitStack() as closers:
        http = ToolSessions(settings.permitted_networks, settings.tool_seconds)
        closers.push_async_callback(http.close)
        tools = Tools(
            load_tools(),
            http,
            called.Peers(settings, closers),
            Pace.at(None, redis_seconds=1),
            believed_seconds=3600,
        )
        with acting_for("acme", subject=called.SUBJECT):
            peers.tenants.does.hold = asyncio.Event()
            early = asyncio.create_task(tools.access())
            await asyncio.to_thread(eventually, lambda: peers.tenants.does.calls, what="the question")
            tools.forget("acme")
            late = asyncio.create_task(tools.access())
            await asyncio.to_thread(
                eventually, lambda: len(peers.tenants.does.calls) == 2, what="the second question"
            )
            peers.tenants.authtoken = "the new one"
            peers.tenants.does.hold.set()
            await asyncio.gather(early, late)

            tools.forget(None)
            await tools.access()
    assert len(peers.tenants.does.calls) == 3
