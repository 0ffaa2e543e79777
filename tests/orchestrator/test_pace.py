"""The limits of ticketing tools, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis
import structlog
from prometheus_client import REGISTRY

from cli.embedded.redis import EmbeddedRedis
from services.orchestrator.pace import OutOfPermits, Pace, PacedTool
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.settings import SettingsError, load_settings
from tests.support.children import running
from tests.support.keys import Keys

ACME = PacedTool("acme", "servicedesk_plus", requests_per_minute=3)
UNLIMITED = PacedTool("acme", "servicedesk_plus")

NewPace = Callable[[], Pace]


@pytest.fixture
async def another(redis_url: str) -> AsyncIterator[NewPace]:
    """One more replica's."""
    async with AsyncExitStack() as closers:

        def new() -> Pace:
            pace = Pace.at(redis_url, redis_seconds=20)
            closers.push_async_callback(pace.close)
            return pace

        yield new


async def refused(pace: Pace, tool: PacedTool = ACME) -> float:
    """The seconds to come back after."""
    with pytest.raises(OutOfPermits) as limited:
        await pace.take(tool)
    return limited.value.retry_after_seconds


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"dossier_orchestrator_pace_{name}_total", labels) or 0.0


def unavailable() -> float:
    return counted("unavailable")


async def test_replicas_share_one_limit(another: NewPace) -> None:
    one, other = another(), another()
    for pace in (one, other, one):
        await pace.take(ACME)

    for pace in (one, other):
        assert await refused(pace) > 50


async def test_permits_taken_at_once_are_no_more_than_the_limit(another: NewPace) -> None:
    paces = [another() for _ in range(4)]
    tool = PacedTool("acme", "servicedesk_plus", requests_per_minute=50)

    took = await asyncio.gather(
        *(pace.take(tool) for pace in paces for _ in range(50)), return_exceptions=True
    )

    assert took.count(None) == 50
    assert {type(each) for each in took if each is not None} == {OutOfPermits}


async def test_a_permit_is_free_again_when_the_oldest_is_a_minute_old(
    another: NewPace, redis_url: str
) -> None:
    pace = another()
    for _ in range(3):
        await pace.take(ACME)
    with redis.Redis.from_url(redis_url) as client:
        oldest = int(client.lindex(ACME.key("permits"), -1))
        client.lset(ACME.key("permits"), -1, str(oldest - 60_000))

    await pace.take(ACME)
    await refused(pace)


async def test_those_who_wait_are_told_to_come_one_by_one(another: NewPace) -> None:
    pace = another()
    for _ in range(3):
        await pace.take(ACME)

    told = [await refused(pace) for _ in range(3)]

    # A permit each 20 s is what three a minute are; a tenth is jitter.
    assert [55 < told[0] < 70, 75 < told[1] < 90, 95 < told[2] < 115] == [True] * 3


async def test_nobody_is_told_to_stay_away_for_long(another: NewPace) -> None:
    pace = another()
    one_a_minute = PacedTool("acme", "servicedesk_plus", requests_per_minute=1)
    await pace.take(one_a_minute)

    assert max([await refused(pace, one_a_minute) for _ in range(20)]) <= 330


async def test_another_tenant_and_another_tool_have_limits_of_their_own(another: NewPace) -> None:
    pace = another()
    for _ in range(3):
        await pace.take(ACME)
    await pace.block(ACME, 30)

    await pace.take(PacedTool("globex", "servicedesk_plus", requests_per_minute=3))
    await pace.take(PacedTool("acme", "another_tool", requests_per_minute=3))


async def test_a_smaller_limit_counts_what_was_taken_before(another: NewPace) -> None:
    pace = another()
    for _ in range(3):
        await pace.take(ACME)

    await refused(pace, PacedTool("acme", "servicedesk_plus", requests_per_minute=2))
    await pace.take(PacedTool("acme", "servicedesk_plus", requests_per_minute=4))


async def test_a_block_is_seen_by_every_replica_also_without_a_limit(another: NewPace) -> None:
    one, other = another(), another()

    await one.block(UNLIMITED, 30)

    for pace in (one, other):
        assert 29 < await refused(pace, UNLIMITED) <= 33


async def test_a_replica_that_found_the_tool_free_learns_of_a_block_a_moment_later(another: NewPace) -> None:
    one, other = another(), another()
    await other.take(UNLIMITED)

    await one.block(UNLIMITED, 30)

    # Twice what it is believed for: no longer is it believed, however slow this machine is.
    await asyncio.sleep(1.0)
    assert 20 < await refused(other, UNLIMITED) <= 33


async def test_a_tool_without_a_limit_is_not_asked_about_at_each_request(
    another: NewPace, redis_url: str
) -> None:
    pace = another()
    await pace.take(UNLIMITED)
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        await pace.take(UNLIMITED)
        assert "cmdstat_evalsha" not in client.info("commandstats")


async def test_a_shorter_block_does_not_end_a_longer_one(another: NewPace) -> None:
    one, other = another(), another()
    await one.block(UNLIMITED, 30)
    await one.block(UNLIMITED, 1)

    for pace in (one, other):
        assert await refused(pace, UNLIMITED) > 29


async def test_a_block_ends(another: NewPace) -> None:
    one, other = another(), another()
    await one.block(UNLIMITED, 0.05)

    async with asyncio.timeout(10):
        for pace in (one, other):
            while True:
                try:
                    await pace.take(UNLIMITED)
                except OutOfPermits:
                    await asyncio.sleep(0.01)
                else:
                    break


async def test_every_key_is_the_tenants(another: NewPace, redis_url: str) -> None:
    pace = another()
    for _ in range(3):
        await pace.take(ACME)
    await refused(pace)
    await pace.block(ACME, 30)

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        names = client.keys()
        assert len(names) == 3
        for name in names:
            assert name.startswith("dossier:orchestrator:acme:")
            assert client.ttl(name) > 0


async def test_a_permit_is_one_command_of_redis(another: NewPace, redis_url: str) -> None:
    pace = another()
    await pace.take(ACME)
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        await pace.take(ACME)
        await pace.take(UNLIMITED)
        calls = client.info("commandstats")
    # What the script itself calls is counted too, but is no round trip.
    sent = {name.removeprefix("cmdstat_"): each["calls"] for name, each in calls.items()}
    assert sent["evalsha"] == 2
    assert sent.keys().isdisjoint({"eval", "script|load", "get"})


async def test_a_known_block_is_not_asked_for_again(another: NewPace, redis_url: str) -> None:
    one, other = another(), another()
    await one.block(UNLIMITED, 30)
    await refused(other, UNLIMITED)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    await refused(other, UNLIMITED)


async def test_without_redis_requests_go_out_and_the_tools_own_limit_is_still_respected() -> None:
    pace, before = Pace.at(None, redis_seconds=20), unavailable()
    for _ in range(5):
        await pace.take(ACME)

    await pace.block(ACME, 30)

    assert await refused(pace) > 29
    assert unavailable() == before


async def test_a_lost_redis_lets_requests_through_counts_them_and_is_told_once(
    server_home: Path,
) -> None:
    home = server_home / "lost-redis"
    home.mkdir()
    server = EmbeddedRedis(home)
    pace, before = Pace.at(server.url(), redis_seconds=20), unavailable()
    try:
        with running(server.program(), ready=server.ready, log=home / "redis.log") as child:
            for _ in range(3):
                await pace.take(ACME)
            await refused(pace)
            child.kill()
            child.wait()
            with structlog.testing.capture_logs() as said:
                for _ in range(20):
                    await pace.take(ACME)
                await pace.block(ACME, 30)
        assert unavailable() == before + 20
        assert [each["event"] for each in said] == ["pace_unavailable"]
        # What this replica heard itself, it still knows.
        assert await refused(pace) > 29

        with running(server.program(), ready=server.ready, log=home / "redis.log"):
            with structlog.testing.capture_logs() as said:
                async with asyncio.timeout(20):
                    while not said:
                        await pace.take(PacedTool("globex", "servicedesk_plus"))
                        await asyncio.sleep(0.05)
            assert [each["event"] for each in said] == ["pace_available"]
            for _ in range(3):
                await pace.take(PacedTool("initech", "servicedesk_plus", requests_per_minute=3))
            await refused(pace, PacedTool("initech", "servicedesk_plus", requests_per_minute=3))
    finally:
        await pace.close()


async def test_a_redis_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """As many as come at once wait together, and those who come later do not wait."""
    opened = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pace, before = Pace.at(f"redis://127.0.0.1:{port}", redis_seconds=0.2), unavailable()
    async with asyncio.timeout(10):
        await asyncio.gather(*(pace.take(ACME) for _ in range(200)))
    together = opened
    assert together > 0
    for _ in range(100):
        await pace.take(ACME)
    assert unavailable() == before + 300
    # Now and then one of them tries.
    assert opened - together < 50
    await pace.close()
    server.close()


@pytest.mark.parametrize(
    "url", ["redis://cache:6379/1", "rediss://user:hunter2@cache:6380/1", "unix:///run/redis.sock?db=1"]
)
def test_the_address_of_redis_is_the_instances_own(
    monkeypatch: pytest.MonkeyPatch, keys: Keys, url: str
) -> None:
    settings = load(monkeypatch, keys, redis_url=url)
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == url
    assert "hunter2" not in repr(settings)


def test_without_an_address_there_are_no_shared_limits(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    assert load(monkeypatch, keys, redis_url="").redis_url is None


def test_an_address_that_is_none_of_redis_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, keys: Keys
) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*must begin redis://") as refused:
        load(monkeypatch, keys, redis_url="https://user:hunter2@cache")
    assert "hunter2" not in str(refused.value)


def load(monkeypatch: pytest.MonkeyPatch, keys: Keys, *, redis_url: str) -> OrchestratorSettings:
    monkeypatch.setenv("DOSSIER_DATABASE_URL", "postgresql://db/dossier")
    monkeypatch.setenv("DOSSIER_TOKEN_JWKS_FILE", str(keys.jwks_file))
    monkeypatch.setenv("DOSSIER_TOKEN_SIGNING_KEY_FILE", str(keys.signing_key_file))
    monkeypatch.setenv("DOSSIER_REDIS_URL", redis_url)
    return load_settings(OrchestratorSettings)
