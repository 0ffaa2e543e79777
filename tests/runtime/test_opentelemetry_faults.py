"""The faults of OpenTelemetry's own gRPC interceptors, for which ours exist.

When one of these fails, the package has been mended: use more of it, and remove the test.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2  # type: ignore[import-untyped]  # generated without stubs
from grpc_status import rpc_status
from opentelemetry.instrumentation.grpc._aio_client import UnaryUnaryAioClientInterceptor
from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.runtime.harness import EndlessServicer, eventually
from tests.support.grpc_echo import EchoServicer, EchoStub, add_to, echo


class Package:
    """The package's interceptors around a servicer of ours."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("package")

    @asynccontextmanager
    async def around(self, servicer: EchoServicer, *, client: bool = False) -> AsyncIterator[EchoStub]:
        intercept: Any = OpenTelemetryAioServerInterceptor
        server = grpc.aio.server(interceptors=[intercept(self.tracer)])
        add_to(server, servicer)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        client_interceptor: Any = UnaryUnaryAioClientInterceptor
        interceptors = [client_interceptor(self.tracer)] if client else None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
            yield EchoStub(channel)
        await server.stop(0)

    async def server_status(self) -> StatusCode:
        await eventually(lambda: bool(self.exporter.get_finished_spans()))
        return self.exporter.get_finished_spans()[0].status.status_code


async def test_an_uncaught_exception_looks_fine_in_its_server_spans() -> None:
    async def breaks(_text: str) -> str:
        raise RuntimeError

    package = Package()
    async with package.around(EchoServicer(breaks)) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Say(echo("tea"))
        assert await package.server_status() is StatusCode.UNSET


async def test_a_passed_deadline_looks_fine_in_its_server_spans() -> None:
    async def forever(_text: str) -> str:
        return str(await asyncio.Event().wait())

    package = Package()
    async with package.around(EchoServicer(forever)) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Say(echo("tea"), timeout=0.2)
        assert await package.server_status() is StatusCode.UNSET


async def test_a_rich_status_looks_fine_in_its_server_spans() -> None:
    class Unavailable(EchoServicer):
        async def Say(self, _request: Any, _context: Any) -> Any:
            rich = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="down")
            await _context.abort_with_status(rpc_status.to_status(rich))

    async def unused(text: str) -> str:
        return text

    package = Package()
    async with package.around(Unavailable(unused)) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Say(echo("tea"))
        assert await package.server_status() is StatusCode.UNSET


async def test_cancelling_through_its_client_interceptor_does_not_reach_the_server() -> None:
    """https://github.com/open-telemetry/opentelemetry-python-contrib/issues/3271."""
    began, release, ended = asyncio.Event(), asyncio.Event(), []

    async def waits(text: str) -> str:
        began.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("finished")
        return text

    async with Package().around(EchoServicer(waits), client=True) as stub:
        ongoing = stub.Say(echo("tea"))
        await began.wait()
        ongoing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ongoing
        # A later call on the same connection has come and gone, so a cancellation would have arrived.
        release.set()
        await eventually(lambda: bool(ended))
    assert ended == ["finished"]


async def test_its_stream_abandoned_by_the_client_loses_its_context(caplog: pytest.LogCaptureFixture) -> None:
    """https://github.com/open-telemetry/opentelemetry-python-contrib/issues/2357."""

    async with Package().around(EndlessServicer()) as stub:
        ongoing = stub.Repeat(echo("tea"))
        await ongoing.read()
        ongoing.cancel()
        await eventually(lambda: gc.collect() >= 0 and "Failed to detach context" in caplog.text)
