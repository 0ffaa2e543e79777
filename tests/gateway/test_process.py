"""The gateway as a process: settings, signals, drain, exit codes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import redis

from tests.gateway.world import TOOL, World, eventually, key, sign, ticket_body


@dataclass(slots=True)
class Process:
    child: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    @property
    def url(self) -> str:
        return next(str(line["url"]) for line in self.lines if line["event"] == "gateway_started")

    async def read(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self.lines.append(json.loads(line))


@asynccontextmanager
async def gateway_process(world: World, **environment: str) -> AsyncIterator[Process]:
    targets = {f"DOSSIER_{name.upper()}_TARGET": f"localhost:{port}" for name, port in world.ports.items()}
    ports = {"DOSSIER_GATEWAY_HTTP_PORT": "0", "DOSSIER_GATEWAY_METRICS_PORT": "0"}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env={**os.environ, **world.keys.environment, **targets, **ports, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    process = Process(child)
    reading = asyncio.create_task(process.read())
    try:
        await eventually(lambda: "service_ready" in process.events, within_seconds=30)
        yield process
        await asyncio.wait_for(child.wait(), 30)
        await reading
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_waiting_webhooks_be_kept_takes_no_new_ones_and_ends_with_0(
    world: World, signal_number: int
) -> None:
    async with gateway_process(world) as process, httpx.AsyncClient(base_url=process.url) as http:
        world.orchestrator.open.clear()
        bodies = [ticket_body(str(number)) for number in range(20)]
        posts = [
            asyncio.create_task(http.post(f"/webhooks/acme/{TOOL}", content=body, headers=sign(body)))
            for body in bodies
        ]
        await eventually(lambda: len(world.orchestrator.batches) > 0)
        # All are inside: the health route is answered by the same loop, after them.
        assert (await http.get("/healthz")).status_code == 200
        process.child.send_signal(signal_number)
        await eventually(lambda: "gateway_draining" in process.events)
        await _refused(process.url)
        world.orchestrator.open.set()
        answers = await asyncio.gather(*posts)
    assert [answer.status_code for answer in answers] == [202] * 20
    assert process.child.returncode == 0
    assert process.events[-1] == "gateway_stopped"


async def _refused(url: str) -> None:
    """Wait until nobody listens any more."""
    async with httpx.AsyncClient() as late:
        while True:
            try:
                await late.get(f"{url}/healthz")
            except httpx.ConnectError:
                return
            except httpx.TransportError:
                # It got in as the door was closing.
                continue


async def test_gateways_share_a_port_and_one_that_ends_leaves_the_others_to_it(world: World) -> None:
    async with gateway_process(world, DOSSIER_GATEWAY_REUSE_PORT="true") as one:
        port = one.url.rpartition(":")[2]
        shared = {"DOSSIER_GATEWAY_REUSE_PORT": "true", "DOSSIER_GATEWAY_HTTP_PORT": port}
        async with gateway_process(world, **shared) as other:
            assert await _posted(one.url, range(40)) == {202}
            await eventually(lambda: _answered(one) + _answered(other) == 40)
            assert 0 < _answered(one) < 40
            one.child.send_signal(signal.SIGTERM)
            await asyncio.wait_for(one.child.wait(), 30)
            assert await _posted(one.url, range(40, 60)) == {202}
            other.child.send_signal(signal.SIGTERM)
    assert _answered(one) + _answered(other) == 60


async def test_the_redis_of_all_services_is_where_a_gateway_counts(world: World, redis_url: str) -> None:
    environment = {"DOSSIER_REDIS_URL": redis_url, "DOSSIER_GATEWAY_TENANT_REQUESTS_PER_MINUTE": "1"}
    async with (
        gateway_process(world, **environment) as process,
        httpx.AsyncClient(base_url=process.url) as http,
    ):
        found = [(await http.get("/v1/tickets/1", headers=key())).status_code for _ in range(2)]
        process.child.send_signal(signal.SIGTERM)
    assert found == [200, 429]
    with redis.Redis.from_url(redis_url) as client:
        assert client.get("dossier:gateway:acme:limit:tenant-requests:") == b"1"


async def _posted(url: str, numbers: range) -> set[int]:
    """Send these webhooks, each on a connection of its own; the statuses."""
    statuses = set()
    for number in numbers:
        body = ticket_body(str(number))
        async with httpx.AsyncClient(base_url=url) as http:
            answer = await http.post(f"/webhooks/acme/{TOOL}", content=body, headers=sign(body))
        statuses.add(answer.status_code)
    return statuses


def _answered(process: Process) -> int:
    return process.events.count("request_answered")


async def test_no_line_of_the_log_holds_a_key_a_signature_or_a_body(world: World) -> None:
    async with gateway_process(world) as process, httpx.AsyncClient(base_url=process.url) as http:
        body = ticket_body("4711", subject="a-private-matter")
        await http.post(f"/webhooks/acme/{TOOL}", content=body, headers=sign(body))
        await http.get("/v1/tickets/4711?source=a-private-source", headers=key())
        await http.get("/v1/tickets/4711", headers=key("dsk_a_wrong_one"))
        process.child.send_signal(signal.SIGTERM)
    text = json.dumps(process.lines)
    for private in (
        "dsk_",
        "sha256=",
        sign(body)["X-ServiceDesk-Signature"][7:],
        "a-private",
        "whsec",
        "VPN",
    ):
        assert private not in text
    answered = [line for line in process.lines if line["event"] == "request_answered"]
    assert [(line["route"], line["status"]) for line in answered] == [
        ("/webhooks/{tenant}/{tool}", 202),
        ("/v1/tickets/{ticket_id}", 200),
        ("/v1/tickets/{ticket_id}", 401),
    ]
    assert all(line["request_id"] for line in answered)


async def test_wrong_settings_are_all_told_at_once() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOSSIER_")}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env={**environment, "DOSSIER_GATEWAY_HTTP_PORT": "many", "DOSSIER_GATEWAY_BODY_LIMIT_BYTES": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate()
    assert child.returncode == 78
    for name in ("HTTP_PORT", "BODY_LIMIT_BYTES", "TOKEN_JWKS_FILE", "TOKEN_SIGNING_KEY_FILE"):
        assert f"DOSSIER_GATEWAY_{name}" in said.decode()


async def test_a_port_that_is_taken_ends_the_start(world: World) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env={
            **os.environ,
            **world.keys.environment,
            "DOSSIER_GATEWAY_HTTP_PORT": str(world.gateway.port),
            "DOSSIER_GATEWAY_METRICS_PORT": "0",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate()
    assert child.returncode == 1
    assert f"{world.gateway.port}" in said.decode()
