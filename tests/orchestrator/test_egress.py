"""Where tenants' ticketing tools and context sources may not be, and what is said of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from cli.standins.servicedesk_plus import ServiceDesk
from dossier.context.v1 import context_source_service_pb2 as context_pb2
from dossier.context.v1 import context_source_service_pb2_grpc as context_grpc
from dossier.context.v1 import evidence_pb2 as context
from dossier.context.v1.ticket_pb2 import Ticket
from dossier.orchestrator.v1 import enhancement_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import ContextSource
from egress.guard import Refused
from egress.permits import Permits
from services.orchestrator import peers as called
from services.orchestrator.failures import Permanent
from services.orchestrator.pace import Pace
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.source_channels import SourceChannels
from services.orchestrator.tool import Tools, ToolSessions
from services.runtime.caller import acting_for
from services.runtime.settings import SettingsError, load_settings
from tests.egress.listener import listening
from tests.orchestrator.client import Client
from tests.orchestrator.peers import Peers
from tests.orchestrator.world import settings_for
from tests.support.keys import Keys
from tests.support.names import Names
from ticketing.discovery import load_tools


def refused(what: str) -> float:
    return REGISTRY.get_sample_value("dossier_orchestrator_egress_refused_total", {"what": what}) or 0


async def test_a_tool_at_a_private_address_ends_the_run_with_what_permits_it(
    acme: Client, peers: Peers, desk: ServiceDesk
) -> None:
    before = refused("tool")
    peers.tenants.base_urls["acme"] = "http://10.1.2.3/sdp"

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_FAILED
    assert ended.failure.reason == "TOOL_REJECTED"
    assert ended.failure.message == (
        "base_url leads to 10.1.2.3, which is not public: 10.0.0.0/8 is Private-Use (RFC1918);"
        " the operator can permit it with DOSSIER_PERMITTED_NETWORKS"
    )
    assert refused("tool") == before + 1
    assert desk.calls.count() == 0


@pytest.fixture
async def permitting_acme(peers: Peers, keys: Keys) -> AsyncIterator[Tools]:
    settings = settings_for("postgresql://nobody@localhost/none", peers, keys)
    async with AsyncExitStack() as closers:
        sessions = ToolSessions(Permits.parse("acme=127.0.0.1/32"), settings.tool_seconds)
        pace = Pace.at(None, redis_seconds=1)
        closers.push_async_callback(sessions.close)
        closers.push_async_callback(pace.close)
        yield Tools(load_tools(), sessions, called.Peers(settings, closers), pace, believed_seconds=2)


async def test_a_connection_kept_for_one_tenant_is_not_for_another_without_its_permit(
    permitting_acme: Tools, desk: ServiceDesk
) -> None:
    for _ in range(2):
        with acting_for("acme", subject=called.SUBJECT):
            await (await permitting_acme.access()).read("1")
        with acting_for("globex", subject=called.SUBJECT), pytest.raises(Permanent, match="leads to 127"):
            await (await permitting_acme.access()).read("1")
    assert desk.calls.count() == 2


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("127.0.0.2:50051", "its target leads to 127.0.0.2, which is not public"),
        ("[::ffff:10.1.2.3]:50051", "its target leads to ::ffff:a01:203, which is not public"),
        ("169.254.169.254:80", "nothing can permit it"),
        ("unix:/run/docker.sock", "it must be host:port, without a scheme"),
        ("unix:///run/docker.sock", "it must be host:port, without a scheme"),
        ("dns:///127.0.0.1:50051", "it must be host:port, without a scheme"),
        ("ipv4:127.0.0.1:50051", "it must be host:port, without a scheme"),
        ("xds:///inside", "it must be host:port, without a scheme"),
        ("monitoring.example", "it must be host:port, without a scheme"),
        ("monitoring.example:0", "port 0 is not a port"),
        ("2130706434:50051", "made only of digits and dots"),
        ("a@127.0.0.2:50051", "it must be host:port, without a scheme"),
    ],
)
async def test_a_source_that_may_not_be_reached_is_a_line_in_the_brief(
    acme: Client, peers: Peers, desk: ServiceDesk, target: str, says: str
) -> None:
    before = refused("source")
    peers.tenants.sources = [ContextSource(name="monitoring", target=target)]

    ended = await acme.ended(await acme.submit_one("1"))

    assert ended.state == pb.ENHANCEMENT_STATE_SUCCEEDED
    report = next(each for each in ended.sources if each.source == "monitoring")
    assert report.state == context.SOURCE_STATE_FAILED
    assert says in report.detail
    assert "monitoring: its target" in desk.requests["1"].notes[0].description
    assert refused("source") == before + 1
    assert not peers.monitoring.does.calls


class World:
    """Channels to sources of acme's, who may reach 127.0.0.1 and 127.0.0.2."""

    def __init__(self, peers: Peers, keys: Keys, names: Names, *, believed_seconds: float) -> None:
        self.permits = Permits.parse("acme=127.0.0.1/32,acme=127.0.0.2/32")
        self.opened: list[str] = []
        self.stack = AsyncExitStack()
        settings = settings_for("postgresql://nobody@localhost/none", peers, keys)
        self._peers = called.Peers(settings, self.stack)
        self.channels = SourceChannels(self.permits, names, self._open, believed_seconds=believed_seconds)
        self.stack.push_async_callback(self.channels.close)
        self.port = peers.ports["source:monitoring"]

    def _open(self, address: str, name: str, authority: str) -> grpc.aio.Channel:
        self.opened.append(address)
        return self._peers._source_channel(address, name, authority)

    async def channel(self, host: str, *, tenant: str = "acme") -> grpc.aio.Channel:
        return await self.channels.channel(tenant, "monitoring", f"{host}:{self.port}")


def gathering(channel: grpc.aio.Channel) -> Any:
    stub = context_grpc.ContextSourceServiceStub(channel)
    return stub.Gather(context_pb2.GatherRequest(ticket=Ticket(id="1")), timeout=5)


@pytest.fixture
def _as_acme() -> Iterator[None]:
    with acting_for("acme", subject=called.SUBJECT):
        yield


@pytest.mark.usefixtures("_as_acme")
async def test_a_source_is_connected_to_at_the_address_that_was_checked(peers: Peers, keys: Keys) -> None:
    names = Names({"rebind.example": [["127.0.0.1"], ["127.0.0.3"]]})
    world = World(peers, keys, names, believed_seconds=0)
    async with world.stack:
        await gathering(await world.channel("rebind.example"))
        assert names.asked == ["rebind.example"]
        assert world.opened == [f"ipv4:127.0.0.1:{world.port}"]

        with pytest.raises(Refused, match=r"127\.0\.0\.3"):
            await world.channel("rebind.example")
        assert len(world.opened) == 1


async def test_a_sources_name_with_a_good_and_a_bad_address_is_refused_whole(
    peers: Peers, keys: Keys
) -> None:
    world = World(peers, keys, Names({"both.example": [["127.0.0.1", "10.1.2.3"]]}), believed_seconds=30)
    async with world.stack:
        with pytest.raises(Refused, match=r"10\.1\.2\.3"):
            await world.channel("both.example")
        assert not world.opened


async def test_a_tenant_without_the_permit_gets_no_channel_of_one_with_it(peers: Peers, keys: Keys) -> None:
    world = World(peers, keys, Names({"source.example": [["127.0.0.1"]]}), believed_seconds=30)
    async with world.stack:
        await world.channel("source.example")
        with pytest.raises(Refused):
            await world.channel("source.example", tenant="globex")
        assert len(world.opened) == 1


async def test_addresses_are_believed_for_a_moment_and_a_channel_serves_while_they_stand(
    peers: Peers, keys: Keys
) -> None:
    names = Names({"turning.example": [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]]})
    world = World(peers, keys, names, believed_seconds=0)
    async with world.stack:
        assert await world.channel("turning.example") is await world.channel("turning.example")
        assert len(names.asked) == 2
        assert world.opened == [f"ipv4:127.0.0.1:{world.port},127.0.0.2:{world.port}"]

    names = Names({"turning.example": [["127.0.0.1"], ["127.0.0.2"]]})
    world = World(peers, keys, names, believed_seconds=30)
    async with world.stack:
        await asyncio.gather(*(world.channel("turning.example") for _ in range(1)))
        await asyncio.gather(*(world.channel("turning.example") for _ in range(5)))
        assert len(names.asked) == len(world.opened) == 1


@pytest.mark.usefixtures("_as_acme")
async def test_who_asks_while_a_source_moves_gets_the_answer(peers: Peers, keys: Keys) -> None:
    world = World(peers, keys, Names({"moving.example": [["127.0.0.1"], ["127.0.0.2"]]}), believed_seconds=0)
    peers.monitoring.does.hold = asyncio.Event()
    async with world.stack:
        asked = gathering(await world.channel("moving.example"))
        async with asyncio.timeout(5):
            while not peers.monitoring.does.calls:  # noqa: ASYNC110 - the peer counts, and signals nothing
                await asyncio.sleep(0.01)
        await world.channel("moving.example")
        peers.monitoring.does.hold.set()
        assert (await asked).evidence[0].id == "alert-9"


@pytest.mark.usefixtures("_as_acme")
async def test_a_proxy_is_told_the_address_that_was_checked(
    peers: Peers, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(peers, keys, Names({"two.example": [["127.0.0.2", "127.0.0.1"]]}), believed_seconds=30)
    async with world.stack, listening("127.0.0.1") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        for name in ("grpc_proxy", "https_proxy", "no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(grpc.aio.AioRpcError):
            await gathering(await world.channel("two.example"))
        assert proxy.requests[0] == f"CONNECT 127.0.0.1:{world.port} HTTP/1.1"


@pytest.mark.usefixtures("_as_acme")
async def test_a_sources_name_that_nobody_knows_is_told(peers: Peers, keys: Keys) -> None:
    settings = settings_for("postgresql://nobody@localhost/none", peers, keys)
    async with AsyncExitStack() as closers:
        asking = called.Peers(settings, closers)
        with pytest.raises(called.PeerFailure) as failed:
            await asking.observations(
                context_pb2.GatherRequest(), name="monitoring", target="nowhere.invalid:443", seconds=10
            )
    assert failed.value.kind == "unavailable"
    assert failed.value.detail == "the name in its target is not known"


def test_a_permit_that_is_none_stops_the_start(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_DATABASE_URL", "postgresql://nobody@localhost/none")
    monkeypatch.setenv("DOSSIER_TOKEN_JWKS_FILE", str(keys.jwks_file))
    monkeypatch.setenv("DOSSIER_TOKEN_SIGNING_KEY_FILE", str(keys.signing_key_file))
    monkeypatch.setenv("DOSSIER_PERMITTED_NETWORKS", "acme=0.0.0.0/0")
    with pytest.raises(SettingsError, match=r"DOSSIER_PERMITTED_NETWORKS.*0\.0\.0\.0/0 cannot be permitted"):
        load_settings(OrchestratorSettings)

    monkeypatch.delenv("DOSSIER_PERMITTED_NETWORKS")
    unset = load_settings(OrchestratorSettings)
    with pytest.raises(Refused):
        unset.permitted_networks.guard("acme").check_addresses(["127.0.0.1"])
    monkeypatch.setenv("DOSSIER_ORCHESTRATOR_PERMITTED_NETWORKS", "127.0.0.0/8")
    load_settings(OrchestratorSettings).permitted_networks.guard("acme").check_addresses(["127.0.0.1"])
