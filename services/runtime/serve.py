"""Runs a service: from settings to a clean drain."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import grpc
import structlog
import uvloop
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime import logs, memory, telemetry
from services.runtime.channels import MESSAGE_BYTES
from services.runtime.interceptors import server_interceptor
from services.runtime.probes import probes
from services.runtime.readiness import Check, Readiness
from services.runtime.settings import ServiceSettings, SettingsError, load_settings
from services.runtime.tls import TlsFiles, server_credentials
from services.runtime.tokens import TokenVerifier

EXIT_FAILED: Final = 1
# EX_CONFIG of sysexits.h.
EXIT_BAD_SETTINGS: Final = 78

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # Two processes on one port would share its calls in silence.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

S = TypeVar("S", bound=ServiceSettings)
Build = Callable[[S, AsyncExitStack], Awaitable["Service"]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a service consists of.

    A servicer is the descriptor of its service and the function that adds it to a server. A check raises
    while the service cannot work, and its text is the reason. Background work runs until the drain is over;
    if it fails, so does the service.
    """

    servicers: Sequence[tuple[ServiceDescriptor, Callable[[grpc.aio.Server], None]]]
    checks: Mapping[str, Check]
    background: Sequence[Callable[[], Awaitable[None]]] = ()


@dataclass(frozen=True, slots=True)
class RunningService:
    name: str
    host: str
    port: int
    metrics_port: int
    readiness: Readiness

    @property
    def target(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.host}:{self.metrics_port}"


def run(name: str, settings_type: type[S], build: Build[S]) -> int:
    """Serve until SIGTERM or SIGINT and drain; the exit code of the process."""
    try:
        settings = load_settings(settings_type)
    except SettingsError as problems:
        sys.stderr.write(f"{name} cannot start; its settings are wrong:\n{problems}\n")
        return EXIT_BAD_SETTINGS
    logs.configure(format=settings.log_format, level=settings.log_level, service=name)
    return uvloop.run(_serve_until_told(name, settings, build))


async def _serve_until_told(name: str, settings: S, build: Build[S]) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        async with telemetry.exporting(name), serving(name, settings, build) as running:
            memory.settle()
            _log.info("service_started", target=running.target, metrics_port=running.metrics_port)
            await told.wait()
            _log.info("service_draining", drain_seconds=settings.drain_seconds)
    except Exception:  # noqa: BLE001 - the process ends here, and its log says why
        _log.exception("service_failed")
        return EXIT_FAILED
    _log.info("service_stopped")
    return 0


@asynccontextmanager
async def serving(name: str, settings: S, build: Build[S]) -> AsyncIterator[RunningService]:
    """Run the same server in the caller's event loop; leaving drains it and closes what it opened."""
    async with AsyncExitStack() as closers:
        service = await build(settings, closers)
        names = [descriptor.full_name for descriptor, _ in service.servicers]
        readiness = Readiness(service.checks, names)
        server = _server(name, settings, service, readiness=readiness)
        port = _listen(server, f"{settings.grpc_host}:{settings.grpc_port}", settings.tls)
        with probes(settings.grpc_host, settings.metrics_port, readiness) as metrics_port:
            async with _background([readiness.watch, *service.background]):
                await readiness.begin()
                await server.start()
                try:
                    yield RunningService(name, settings.grpc_host, port, metrics_port, readiness)
                finally:
                    # Health first, so that nobody sends new calls to a server that refuses them.
                    await readiness.drain()
                    await server.stop(settings.drain_seconds)


def _listen(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    if tls is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, server_credentials(tls))


def _server(
    name: str, settings: ServiceSettings, service: Service, *, readiness: Readiness
) -> grpc.aio.Server:
    verifier = TokenVerifier(settings.token_jwks_file, audience=name)
    interceptor = server_interceptor(
        domain=f"{name}.dossier", verifier=verifier, certified=settings.tls is not None
    )
    server = grpc.aio.server(interceptors=[interceptor], options=_SERVER_OPTIONS)
    for _, add in service.servicers:
        add(server)
    health_pb2_grpc.add_HealthServicer_to_server(readiness.health, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    names = [descriptor.full_name for descriptor, _ in service.servicers]
    reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], server)
    return server


@asynccontextmanager
async def _background(jobs: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Run the jobs inside; one that fails ends the whole, with its error."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run(job)) for job in jobs]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below, where the group does not wrap it
            failure = error
        finally:
            for task in tasks:
                task.cancel()
    if failure is not None:
        raise failure


async def _run(job: Callable[[], Awaitable[None]]) -> None:
    await job()
