"""One trace through every hop, each span with the status its call really had."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from opentelemetry import trace

from services.runtime import telemetry
from services.runtime.errors import InvalidArgument
from tests.runtime.collector import CLIENT, ERROR, SERVER, UNSET, Collector, collecting
from tests.runtime.harness import Echo, echo_service, eventually
from tests.support.grpc_echo import Deed, EchoStub, echo
from tests.support.keys import Keys

Code = grpc.StatusCode


@asynccontextmanager
async def two_hops(
    keys: Keys, deed: Deed, monkeypatch: pytest.MonkeyPatch, sampler: str = "parentbased_always_on"
) -> AsyncIterator[tuple[Echo, Collector]]:
    """`first` forwards `Say` to `second`'s `Write`; leaving exports everything."""
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        async with telemetry.exporting("echo"), AsyncExitStack() as stack:
            second = await stack.enter_async_context(echo_service(keys, deed, name="second"))

            async def forward(text: str) -> str:
                with telemetry.span("echo.forward", **{"dossier.text.length": len(text)}):
                    return str((await second.stub.Write(echo(text))).text)

            yield await stack.enter_async_context(echo_service(keys, forward, name="first")), collector
        assert telemetry.current_tracer() is None


async def test_a_trace_runs_through_every_hop(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fine(text: str) -> str:
        return text

    async with two_hops(keys, fine, monkeypatch) as (first, collector):
        await first.stub.Say(echo("tea"))
    client, server = collector.one("/Say", CLIENT), collector.one("/Say", SERVER)
    step = collector.one("echo.forward", 1)
    next_client, next_server = collector.one("/Write", CLIENT), collector.one("/Write", SERVER)
    chain = [client, server, step, next_client, next_server]
    assert len({span.trace_id for span in chain}) == 1
    for parent, child in itertools.pairwise(chain):
        assert child.parent_span_id == parent.span_id
    assert [span.status.code for span in chain] == [UNSET] * 5
    assert [collector.code(span) for span in chain if span is not step] == [0] * 4
    assert next_server.name == "kernel.test.v1.EchoService/Write"
    assert collector.services == {"echo"}


@pytest.mark.parametrize(
    ("deed", "code", "server_status"),
    [("bug", Code.INTERNAL, ERROR), ("refusal", Code.INVALID_ARGUMENT, UNSET)],
)
async def test_a_failure_is_on_both_ends_and_only_a_fault_is_the_servers_error(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, deed: str, code: Code, server_status: int
) -> None:
    async def fails(_text: str) -> str:
        if deed == "bug":
            raise RuntimeError("hunter2")
        raise InvalidArgument("no", field="text")

    async with two_hops(keys, fails, monkeypatch) as (first, collector):
        with pytest.raises(grpc.aio.AioRpcError):
            await first.stub.Say(echo("tea"))
    client, server = collector.one("/Write", CLIENT), collector.one("/Write", SERVER)
    assert (client.status.code, server.status.code) == (ERROR, server_status)
    assert collector.code(client) == collector.code(server) == code.value[0]
    assert collector.one("echo.forward", 1).status.code == ERROR
    assert "hunter2" not in str(collector.spans)


async def test_a_passed_deadline_is_an_error_on_every_span(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(_text: str) -> str:
        return str(await asyncio.Event().wait())

    async with two_hops(keys, forever, monkeypatch) as (first, collector):
        with pytest.raises(grpc.aio.AioRpcError):
            await first.stub.Say(echo("tea"), timeout=0.5)
    spans = [collector.one(f"/{method}", kind) for method in ("Say", "Write") for kind in (CLIENT, SERVER)]
    assert {span.status.code for span in spans} == {ERROR}
    assert {collector.code(span) for span in spans} == {Code.DEADLINE_EXCEEDED.value[0]}


async def test_a_stream_left_half_read_ends_its_spans_inside_their_trace(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def forever(_text: str) -> str:
        return str(await asyncio.Event().wait())

    async with two_hops(keys, forever, monkeypatch) as (first, collector):
        ongoing = first.stub.Repeat(echo("tea"))
        await ongoing.read()
        ongoing.cancel()
        await eventually(ongoing.done)
    client, server = collector.one("/Repeat", CLIENT), collector.one("/Repeat", SERVER)
    assert server.parent_span_id == client.span_id
    assert collector.code(client) == collector.code(server) == Code.CANCELLED.value[0]
    assert "detach" not in caplog.text


async def test_who_is_not_sampled_leaves_no_span_anywhere(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[bool] = []

    async def notice(text: str) -> str:
        recorded.append(trace.get_current_span().is_recording())
        return text

    async with two_hops(keys, notice, monkeypatch, "parentbased_always_off") as (first, collector):
        await first.stub.Say(echo("tea"))
    assert recorded == [False]
    assert collector.spans == []


async def test_an_unsampled_caller_is_honoured_by_who_samples_everything(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fine(text: str) -> str:
        return text

    unsampled = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    async with (
        two_hops(keys, fine, monkeypatch) as (first, collector),
        grpc.aio.insecure_channel(first.running.target) as stranger,
    ):
        await EchoStub(stranger).Say(echo("tea"), metadata=(*keys.metadata("first"), unsampled))
    assert collector.spans == []


async def test_without_an_endpoint_nothing_is_traced(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    async with telemetry.exporting("echo"):
        assert telemetry.current_tracer() is None
        with telemetry.span("echo.step") as step:
            assert not step.is_recording()


async def test_a_collector_that_is_away_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with asyncio.timeout(5), telemetry.exporting("echo"):
        with telemetry.span("echo.step"):
            pass
