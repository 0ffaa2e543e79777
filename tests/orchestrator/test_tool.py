"""The tool as steps see it: permits, blocks, and settings that are believed for a moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from cli.demo.desk import AUTHTOKEN
from cli.standins.servicedesk_plus import ServiceDesk
from cli.standins.servicedesk_plus.faults import Fault
from services.orchestrator import peers as called
from services.orchestrator.failures import Permanent, Transient
from services.orchestrator.pace import Pace
from services.orchestrator.tool import NothingDone, Tools, ToolSessions
from services.runtime.caller import acting_for
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import settings_for
from tests.support.keys import Keys
from tests.support.leaks import CANARY
from ticketing.discovery import load_tools

# On a busy machine nothing is proved by what goes out because Redis was slow.
REDIS_SECONDS = 20.0

NewTools = Callable[[], Tools]


@pytest.fixture
async def another(peers: Peers, keys: Keys, redis_url: str) -> AsyncIterator[NewTools]:
    """One more replica's, which act for acme."""
    settings = settings_for("postgresql://nobody@localhost/none", peers, keys)
    async with AsyncExitStack() as closers:

        def new() -> Tools:
            http = ToolSessions(settings.permitted_networks, settings.tool_seconds)
            pace = Pace.at(redis_url, redis_seconds=REDIS_SECONDS)
            closers.push_async_callback(http.close)
            closers.push_async_callback(pace.close)
            return Tools(load_tools(), http, called.Peers(settings, closers), pace, believed_seconds=2)

        yield new


@pytest.fixture(autouse=True)
def acme() -> Iterator[None]:
    with acting_for("acme", subject=called.SUBJECT):
        yield


async def post(tools: Tools, ticket_id: str = "1") -> None:
    await (await tools.access()).post(ticket_id, body="<p>brief</p>", marker="Dossier 1")


async def test_a_rate_limit_keeps_every_replica_from_asking(another: NewTools, desk: ServiceDesk) -> None:
    one, other = another(), another()
    desk.faults.inject(Fault(kind="rate_limited", retry_after="30"))

    for tools in (one, other, one):
        with pytest.raises(NothingDone) as limited:
            await post(tools)
        assert 29 < (limited.value.retry_after_seconds or 0) <= 33

    assert desk.calls.count() == 1
    assert not desk.requests["1"].notes


async def test_a_tenants_limit_holds_for_all_replicas_together(
    another: NewTools, desk: ServiceDesk, peers: Peers
) -> None:
    peers.tenants.options |= {"requests_per_minute": "3"}
    one, other = another(), another()
    for tools in (one, other, one):
        await (await tools.access()).read("1")

    with pytest.raises(NothingDone) as limited:
        await post(other)

    assert 50 < (limited.value.retry_after_seconds or 0) < 70
    assert "3 requests per minute" in limited.value.message
    assert desk.calls.count() == 3


async def test_every_request_of_one_call_takes_a_permit(
    another: NewTools, desk: ServiceDesk, peers: Peers
) -> None:
    peers.tenants.options |= {"requests_per_minute": "2"}
    for number in range(250):
        desk.add_note(desk.requests["1"], description=f"note {number}")

    with pytest.raises(NothingDone):
        await (await another().access()).find("1", marker="Dossier 1")

    assert desk.calls.count("GET", "/notes") == 2


@pytest.mark.parametrize("option", ["", "0", "-1", "1.5", "ten", "٣", "10001", "9" * 1000])
async def test_a_limit_that_is_no_number_is_named_before_anything_is_sent(
    another: NewTools, desk: ServiceDesk, peers: Peers, option: str
) -> None:
    peers.tenants.options |= {"requests_per_minute": option}

    with pytest.raises(Permanent, match="requests_per_minute must be a whole number from 1") as refused:
        await post(another())

    assert refused.value.reason == "TOOL_REJECTED"
    assert desk.calls.count() == 0


async def test_settings_are_asked_for_once_and_again_after_a_moment(another: NewTools, peers: Peers) -> None:
    tools, asked = another(), peers.tenants.does.calls
    await asyncio.gather(*(tools.access() for _ in range(20)))
    assert len(asked) == 1

    with acting_for("globex", subject=called.SUBJECT):
        assert (await tools.access()).tenant.id == "globex"
    assert [tenant for tenant, _ in asked] == ["acme", "globex"]

    peers.tenants.base_urls = {}
    async with asyncio.timeout(20):
        while True:
            if not (await tools.access()).has_address:
                break
            await asyncio.sleep(0.05)


async def test_a_failure_to_get_settings_is_not_kept(another: NewTools, peers: Peers) -> None:
    tools = another()
    peers.tenants.suspended = {"acme"}
    for _ in range(2):
        with pytest.raises(Permanent) as refused:
            await tools.access()
        assert refused.value.reason == "TENANT_NOT_SERVED"
    assert len(peers.tenants.does.calls) == 2

    peers.tenants.suspended = set()
    await tools.access()


async def test_a_refusal_of_settings_that_have_changed_is_not_final(
    another: NewTools, desk: ServiceDesk, peers: Peers
) -> None:
    tools = another()
    peers.tenants.authtoken = f"{CANARY}-of-yesterday"
    await tools.access()
    peers.tenants.authtoken = AUTHTOKEN

    with pytest.raises(Transient, match="settings have changed"):
        await post(tools)
    await post(tools)

    assert len(desk.requests["1"].notes) == 1


async def test_a_ticket_missing_at_an_address_that_has_changed_is_looked_for_again(
    another: NewTools, desk: ServiceDesk, peers: Peers
) -> None:
    tools = another()
    await tools.access()
    peers.tenants.options |= {"timeout_seconds": "6"}

    with pytest.raises(Transient, match="settings have changed"):
        await post(tools, "404")
    with pytest.raises(Permanent) as missing:
        await post(tools, "404")
    assert missing.value.reason == "TICKET_MISSING"
