"""The process: opens what it needs, serves, and drains when told to stop."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog
import uvicorn
import uvloop
from starlette.types import ASGIApp

from dossier.orchestrator.v1.orchestrator_service_pb2 import (
    SubmitEnhancementsRequest,
    SubmitEnhancementsResponse,
)
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from gateway.application import application
from gateway.believed import Believed
from gateway.counts import SharedCounts
from gateway.health import MeshHealth
from gateway.http_protocol import OneWriteProtocol
from gateway.intake import Intake, IntakeLimits
from gateway.mesh import SUBJECT, Mesh, asked, open_mesh
from gateway.oidc.provider import open_people
from gateway.secret_uses import SecretUses
from gateway.settings import GatewaySettings
from services.runtime import logs, memory, telemetry
from services.runtime.caller import acting_for
from services.runtime.notices import hear
from services.runtime.probes import probes
from services.runtime.readiness import Readiness
from services.runtime.serve import EXIT_BAD_SETTINGS, EXIT_FAILED
from services.runtime.settings import SettingsError, load_settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunningGateway:
    host: str
    port: int
    metrics_port: int
    readiness: Readiness

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.host}:{self.metrics_port}"


def run() -> int:
    """Serve until SIGTERM or SIGINT and drain; the exit code of the process."""
    try:
        settings = load_settings(GatewaySettings)
    except SettingsError as problems:
        sys.stderr.write(f"gateway cannot start; its settings are wrong:\n{problems}\n")
        return EXIT_BAD_SETTINGS
    logs.configure(format=settings.log_format, level=settings.log_level, service="gateway")
    return uvloop.run(_serve_until_told(settings))


async def _serve_until_told(settings: GatewaySettings) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        async with telemetry.exporting("gateway"), serving(settings) as running:
            memory.settle()
            _log.info("gateway_started", url=running.url, metrics_port=running.metrics_port)
            await told.wait()
            _log.info("gateway_draining", drain_seconds=settings.drain_seconds)
    except Exception:  # noqa: BLE001 - the process ends here, and its log says why
        _log.exception("gateway_failed")
        return EXIT_FAILED
    _log.info("gateway_stopped")
    return 0


@asynccontextmanager
async def serving(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    """Serve in the caller's event loop; leaving drains what is in flight and closes what was opened."""
    draining = asyncio.Event()
    async with AsyncExitStack() as closers:
        mesh = open_mesh(settings, closers)
        intake = _intake(mesh, settings)
        closers.push_async_callback(intake.drain)
        uses = SecretUses(mesh.channels["tenants"])
        closers.push_async_callback(uses.tell)
        telling = asyncio.create_task(uses.run())
        closers.callback(telling.cancel)
        health = MeshHealth(mesh)
        readiness = Readiness(health.checks, [])
        metrics_port = closers.enter_context(probes(settings.http_host, settings.metrics_port, readiness))
        watching = asyncio.create_task(readiness.watch())
        closers.callback(watching.cancel)
        believed = Believed.of(mesh, settings, await open_people(settings, closers))
        hearing = asyncio.create_task(hear("tenants", settings, forget=believed.forget))
        closers.callback(hearing.cancel)
        app = application(
            settings,
            mesh,
            intake,
            uses=uses,
            believed=believed,
            counts=_counts(settings, closers),
            health=health,
            readiness=readiness,
            draining=draining,
        )
        async with _listening(app, settings) as port:
            try:
                yield RunningGateway(settings.http_host, port, metrics_port, readiness)
            finally:
                # Balancers first; streams next, which would not end by themselves.
                await readiness.drain()
                draining.set()


def _counts(settings: GatewaySettings, closers: AsyncExitStack) -> SharedCounts | None:
    if settings.redis_url is None:
        return None
    counts = SharedCounts.at(settings.redis_url.get_secret_value(), seconds=settings.redis_seconds)
    closers.push_async_callback(counts.close)
    return counts


def _intake(mesh: Mesh, settings: GatewaySettings) -> Intake:
    stub = OrchestratorServiceStub(mesh.channels["orchestrator"])

    async def submit(request: SubmitEnhancementsRequest, seconds: float) -> SubmitEnhancementsResponse:
        with acting_for(None, subject=SUBJECT):
            return await asked("orchestrator", stub.SubmitEnhancements(request, timeout=seconds))

    limits = IntakeLimits(
        batch_items=settings.intake_batch_items,
        batch_bytes=settings.intake_batch_bytes,
        batches_in_flight=settings.intake_batches_in_flight,
        waiting_max=settings.intake_waiting_max,
        seconds=settings.intake_seconds,
    )
    return Intake(submit, limits)


def _listener(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, reuse_port=reuse_port)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None


class _HttpServer(uvicorn.Server):
    """Leaves the signals to us: uvicorn would stop listening before the drain is announced."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _listening(app: ASGIApp, settings: GatewaySettings) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        http=OneWriteProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        # A request that waits behind another on its connection would otherwise inherit that one's caller.
        reset_contextvars=True,
    )
    # Opened here: uvicorn would end the process by itself when the port is taken.
    listener = _listener(settings.http_host, settings.http_port, reuse_port=settings.reuse_port)
    port: int = listener.getsockname()[1]
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield port
    finally:
        server.should_exit = True
        await serving
