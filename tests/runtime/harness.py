"""The echo service on the real kernel, and patience."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from prometheus_client import REGISTRY

from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.readiness import Check
from services.runtime.serve import RunningService, Service, serving
from services.runtime.settings import ServiceSettings, settings_config
from services.runtime.tls import TlsFiles
from services.runtime.tokens import TokenSigner
from tests.support.grpc_echo import DESCRIPTOR, SERVICE, Deed, EchoServicer, EchoStub, add_to
from tests.support.keys import Keys


class EchoSettings(ServiceSettings):
    model_config = settings_config("echo")

    grpc_port: int = 0
    metrics_port: int = 0


class EndlessServicer(EchoServicer):
    """Repeats without end, so that a client that leaves finds it in the middle of sending."""

    def __init__(self) -> None:
        self.ran_in: asyncio.Task[Any] | None = None
        self.closed_in: asyncio.Task[Any] | None = None

    async def Repeat(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        self.ran_in = asyncio.current_task()
        try:
            while True:
                yield request
        finally:
            self.closed_in = asyncio.current_task()


@dataclass(frozen=True, slots=True)
class Echo:
    """A running echo service and a stub that calls it for the tenant acme."""

    running: RunningService
    channel: grpc.aio.Channel
    stub: EchoStub


@asynccontextmanager
async def echo_service(
    keys: Keys,
    deed: Deed | EchoServicer,
    *,
    checks: Mapping[str, Check] | None = None,
    drain_seconds: float = 5,
    name: str = "echo",
    tls: TlsFiles | None = None,
) -> AsyncIterator[Echo]:
    async def build(_settings: EchoSettings, _closers: AsyncExitStack) -> Service:
        servicer = deed if isinstance(deed, EchoServicer) else EchoServicer(deed)
        return Service([(DESCRIPTOR, lambda server: add_to(server, servicer))], checks or {})

    settings = EchoSettings(
        token_jwks_file=keys.jwks_file,
        drain_seconds=drain_seconds,
        tls_cert_file=tls.cert if tls else None,
        tls_key_file=tls.key if tls else None,
        tls_ca_file=tls.ca if tls else None,
    )
    with acting_for("acme", subject="test"):
        async with (
            serving(name, settings, build) as running,
            channel_to(running.target, keys, audience=name, tls=tls) as channel,
        ):
            yield Echo(running, channel, EchoStub(channel))


@asynccontextmanager
async def channel_to(
    target: str, keys: Keys, *, audience: str = "echo", tls: TlsFiles | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    signer = TokenSigner(keys.signing_key_file)
    channel = open_channel(
        target, audience=audience, services=[DESCRIPTOR], signer=signer, subject="test", tls=tls
    )
    try:
        yield channel
    finally:
        await channel.close()


async def eventually(holds: Callable[[], bool], *, within_seconds: float = 5) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


def started(method: str) -> float:
    """How many calls of the echo service began, by its metrics."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "grpc_server_started_total" and sample.labels["grpc_method"] == method
    )


def handled(method: str, code: str) -> float:
    """How many calls of the echo service ended so, by its metrics."""
    labels = {"grpc_service": SERVICE, "grpc_method": method, "grpc_code": code}
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "grpc_server_handled_total" and labels.items() <= sample.labels.items()
    )
