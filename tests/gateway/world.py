"""A running gateway with its peers, and the ways in which the tests speak to it."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
import orjson

from dossier.tenants.v1 import api_key_pb2, tenant_pb2
from dossier.tenants.v1 import tenant_service_pb2 as tenants
from gateway.server import RunningGateway, serving
from gateway.settings import GatewaySettings
from tests.gateway.peers import History, Network, Orchestrator, Peer, Tenants, peer
from tests.support.keys import Keys

SECRET = b"whsec_of_acme"
TOOL = "servicedesk_plus"
ADMIN, TECHNICIAN, VIEWER, OPERATOR = "dsk_admin", "dsk_technician", "dsk_viewer", "dsk_operator"
STAFF = "dsk_staff"
"""A viewer of all clients."""


def sign(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-ServiceDesk-Signature": f"sha256={hmac.new(secret, body, sha256).hexdigest()}"}


def ticket_body(ticket_id: str = "4711", **more: object) -> bytes:
    content = {
        "event": "created",
        "ticket_id": ticket_id,
        "subject": "VPN drops",
        "description": "Since 9:00.",
    }
    return orjson.dumps({**content, **more})


def key(key: str = ADMIN) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def eventually(holds: Callable[[], bool], *, within_seconds: float = 10) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


@dataclass(slots=True)
class World:
    keys: Keys
    tenants: Tenants = field(default_factory=Tenants)
    orchestrator: Orchestrator = field(default_factory=Orchestrator)
    history: History = field(default_factory=History)
    network: Network = field(default_factory=Network)
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, AsyncExitStack] = field(default_factory=dict)
    gateway: RunningGateway = None  # type: ignore[assignment] # set before anybody sees the world
    http: httpx.AsyncClient = None  # type: ignore[assignment]

    def peers(self) -> dict[str, Peer]:
        return {
            "tenants": self.tenants,
            "orchestrator": self.orchestrator,
            "history": self.history,
            "network": self.network,
        }

    async def start(self, name: str) -> None:
        closers = self.running[name] = AsyncExitStack()
        served = peer(name, self.peers()[name], self.keys, port=self.ports.get(name, 0))
        self.ports[name] = (await closers.enter_async_context(served)).port

    async def stop(self, name: str) -> None:
        await self.running.pop(name).aclose()

    def settings(self, **more: Any) -> GatewaySettings:
        values: dict[str, Any] = {
            "http_port": 0,
            "metrics_port": 0,
            "token_jwks_file": self.keys.jwks_file,
            "token_signing_key_file": self.keys.signing_key_file,
            "drain_seconds": 5,
            # A machine that is busy is no Redis that is away.
            "redis_seconds": 5,
            "body_limit_bytes": 20_000,
            "public_url": "https://dossier.example",
            # Nobody listens there.
            **{f"{name}_target": "localhost:1" for name in ("knowledge", "synthesis")},
            **{f"{name}_target": f"localhost:{port}" for name, port in self.ports.items()},
        }
        return GatewaySettings(**{**values, **more})

    def forget(self) -> None:
        for each in self.peers().values():
            each.asked.clear()
            each.callers.clear()
            each.request_ids.clear()

    async def webhook(
        self,
        body: bytes,
        *,
        tenant: str = "acme",
        tool: str = TOOL,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        signed = sign(body) if headers is None else headers
        return await self.http.post(f"/webhooks/{tenant}/{tool}", content=body, headers=signed)


@asynccontextmanager
async def running_world(keys: Keys, **settings: Any) -> AsyncIterator[World]:
    world = World(keys)
    world.tenants.secrets["acme", TOOL] = [tenants.WebhookSecret(id="s1", value=SECRET)]
    world.tenants.secrets["globex", TOOL] = [tenants.WebhookSecret(id="s2", value=b"whsec_of_globex")]
    world.tenants.keys = {
        ADMIN: ("acme", api_key_pb2.ROLE_ADMIN),
        TECHNICIAN: ("acme", api_key_pb2.ROLE_TECHNICIAN),
        VIEWER: ("acme", api_key_pb2.ROLE_VIEWER),
        OPERATOR: ("", api_key_pb2.ROLE_OPERATOR),
        STAFF: ("", api_key_pb2.ROLE_VIEWER),
    }
    world.tenants.states = dict.fromkeys(("acme", "globex"), tenant_pb2.TENANT_STATE_ACTIVE)
    world.orchestrator.open.set()
    world.history.takes.set()
    async with AsyncExitStack() as closers:
        for name in world.peers():
            await world.start(name)
        closers.push_async_callback(_stop_all, world)
        world.gateway = await closers.enter_async_context(serving(world.settings(**settings)))
        world.http = await closers.enter_async_context(httpx.AsyncClient(base_url=world.gateway.url))
        await eventually(lambda: not world.gateway.readiness.failing)
        world.forget()
        yield world


async def _stop_all(world: World) -> None:
    for name in list(world.running):
        await world.stop(name)
