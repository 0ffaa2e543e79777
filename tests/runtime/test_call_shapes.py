"""Every kind of call, through every way a call can end."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

import grpc
import pytest

from services.runtime.errors import ServiceError, error_info
from tests.runtime.harness import Echo, EndlessServicer, echo_service, eventually, handled, started
from tests.support.grpc_echo import echo
from tests.support.keys import Keys

SHAPES = ["Say", "Repeat", "Collect", "Chat"]
SECRET = "postgresql://dossier:hunter2@db/dossier"


class KettleEmpty(ServiceError):
    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.FAILED_PRECONDITION
    reason: ClassVar[str] = "KETTLE_EMPTY"


class Deeds:
    """What the service does is chosen by the text it is sent."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, text: str) -> str:
        match text:
            case "refuse":
                raise KettleEmpty("there is no water", metadata={"kettle": "blue"})
            case "break":
                raise RuntimeError(SECRET)
            case "wait":
                self.began.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case _:
                pass
        return text.upper()


async def call(service: Echo, shape: str, text: str, seconds: float | None = None) -> list[str]:
    """Make one call of this shape to its end, and return what it answered."""
    requests: Any = _one(text) if shape in {"Collect", "Chat"} else echo(text)
    ongoing = getattr(service.stub, shape)(requests, timeout=seconds)
    if shape in {"Repeat", "Chat"}:
        return [message.text async for message in ongoing]
    return [(await ongoing).text]


def has_started(shape: str, times: float) -> bool:
    return started(shape) == times


async def test_a_stream_that_is_not_read_on_is_ended_and_what_it_holds_is_free(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.interceptors.call._UNTAKEN_SECONDS", 0.5)
    servicer = EndlessServicer()
    async with echo_service(keys, servicer) as service:
        unread = service.stub.Repeat(echo("x" * 100_000))
        await eventually(lambda: servicer.closed_in is not None)
        assert servicer.closed_in is servicer.ran_in
        unread.cancel()


async def _one(text: str) -> AsyncIterator[Any]:
    yield echo(text)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_is_answered_and_counted(keys: Keys, shape: str) -> None:
    before = handled(shape, "OK")
    async with echo_service(keys, Deeds()) as service:
        answers = await call(service, shape, "tea")
        assert answers == (["tea", "TEA"] if shape in {"Repeat", "Chat"} else ["TEA"])
        await eventually(lambda: handled(shape, "OK") == before + 1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_service_error_arrives_with_its_code_reason_and_metadata(keys: Keys, shape: str) -> None:
    before = handled(shape, "FAILED_PRECONDITION")
    async with echo_service(keys, Deeds()) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(service, shape, "refuse")
        info = error_info(caught.value)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "there is no water"
        assert info is not None
        assert (info.reason, info.domain, dict(info.metadata)) == (
            "KETTLE_EMPTY",
            "echo.dossier",
            {"kettle": "blue"},
        )
        await eventually(lambda: handled(shape, "FAILED_PRECONDITION") == before + 1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_unexpected_exception_is_internal_and_shows_only_the_request_id(
    keys: Keys, shape: str
) -> None:
    before = handled(shape, "INTERNAL")
    async with echo_service(keys, Deeds()) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(service, shape, "break")
        info = error_info(caught.value)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert info is not None
        assert info.reason == "INTERNAL"
        assert caught.value.details() == f"internal error; request id {info.metadata['request_id']}"
        everything_sent = f"{caught.value!r} {caught.value.trailing_metadata()}"
        assert "hunter2" not in everything_sent
        assert "RuntimeError" not in everything_sent
        await eventually(lambda: handled(shape, "INTERNAL") == before + 1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancelled_call_is_cancelled_in_the_server_too(keys: Keys, shape: str) -> None:
    before = handled(shape, "CANCELLED")
    deeds = Deeds()
    async with echo_service(keys, deeds) as service:
        ongoing = asyncio.create_task(call(service, shape, "wait"))
        await deeds.began.wait()
        ongoing.cancel()
        await eventually(deeds.cancelled.is_set)
        await eventually(lambda: handled(shape, "CANCELLED") == before + 1)
    assert ongoing.cancelled()


@pytest.mark.parametrize("shape", ["Repeat", "Chat"])
async def test_a_reader_cancelled_at_any_moment_ends_its_stream(keys: Keys, shape: str) -> None:
    """grpc.aio alone forgets some of these: between two of its awaits nothing cancels the call."""
    rounds = 60
    before = handled(shape, "CANCELLED")
    async with echo_service(keys, Deeds()) as service:
        began = started(shape)
        readers = []
        for number in range(rounds):
            reader = asyncio.create_task(call(service, shape, "wait"))
            await eventually(functools.partial(has_started, shape, began + number + 1))
            for _ in range(number % 6):
                await asyncio.sleep(0)
            reader.cancel()
            readers.append(reader)
        await eventually(lambda: handled(shape, "CANCELLED") == before + rounds)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_passed_deadline_stops_the_server_and_is_told_from_a_cancellation(
    keys: Keys, shape: str
) -> None:
    before = handled(shape, "DEADLINE_EXCEEDED")
    deeds = Deeds()
    async with echo_service(keys, deeds) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(service, shape, "wait", seconds=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await eventually(deeds.cancelled.is_set)
        await eventually(lambda: handled(shape, "DEADLINE_EXCEEDED") == before + 1)


@pytest.mark.parametrize("shape", ["Repeat", "Chat"])
async def test_a_stream_that_its_client_leaves_half_read_ends_in_the_server(keys: Keys, shape: str) -> None:
    before = handled(shape, "CANCELLED")
    deeds = Deeds()
    async with echo_service(keys, deeds) as service:
        requests: Any = _one("wait") if shape == "Chat" else echo("wait")
        ongoing = getattr(service.stub, shape)(requests)
        assert (await ongoing.read()).text == "wait"
        ongoing.cancel()
        await eventually(lambda: handled(shape, "CANCELLED") == before + 1)


async def test_a_stream_left_in_the_middle_of_sending_closes_its_handler_in_the_calls_task(
    keys: Keys,
) -> None:
    before = handled("Repeat", "CANCELLED")
    endless = EndlessServicer()
    async with echo_service(keys, endless) as service:
        ongoing = service.stub.Repeat(echo("tea"))
        await ongoing.read()
        ongoing.cancel()
        await eventually(lambda: handled("Repeat", "CANCELLED") == before + 1)
        assert endless.closed_in is endless.ran_in is not None


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_message_that_breaks_its_contract_never_reaches_the_handler(keys: Keys, shape: str) -> None:
    reached: list[str] = []

    async def note(text: str) -> str:
        reached.append(text)
        return text

    async with echo_service(keys, note) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(service, shape, "")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert not reached


async def test_a_handler_that_takes_longer_than_the_default_is_stopped(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.interceptors.deadline.DeadlineConcern.default_seconds", 0.1)
    deeds = Deeds()
    async with echo_service(keys, deeds) as service:
        plain = grpc.aio.insecure_channel(service.running.target)
        async with plain:
            say: Callable[..., Awaitable[Any]] = plain.unary_unary(
                "/kernel.test.v1.EchoService/Say",
                request_serializer=lambda message: message.SerializeToString(),
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await say(echo("wait"), metadata=keys.metadata("echo"))
        info = error_info(caught.value)
        assert info is not None
        assert info.reason == "DEADLINE_EXCEEDED"
        assert deeds.cancelled.is_set()
