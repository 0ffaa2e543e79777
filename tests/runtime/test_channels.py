"""What an outgoing call carries, when it is repeated and how long it may take."""

import asyncio
from typing import Any

import grpc
import pytest

from services.runtime.caller import acting_for, current_caller
from services.runtime.channels import service_config
from services.runtime.deadline import remaining_seconds
from services.runtime.request_id import adopt_request_id, current_request_id
from tests.runtime.harness import channel_to, echo_service, eventually
from tests.support.grpc_echo import DESCRIPTOR, EchoServicer, EchoStub, add_to, echo
from tests.support.keys import Keys


async def who(_text: str) -> str:
    caller = current_caller()
    return f"{caller.subject} for {caller.tenant} as {caller.role}, {current_request_id()}"


async def test_a_call_carries_the_tenant_role_and_request_at_hand(keys: Keys) -> None:
    async with echo_service(keys, who) as service:
        adopt_request_id("r-42")
        with acting_for("globex", subject="cli", role="technician"):
            answer = await service.stub.Say(echo("?"))
        assert answer.text == "test for globex as technician, r-42"
        with acting_for(None, subject="cli", role="operator"):
            answer = await service.stub.Say(echo("?"))
        assert answer.text == "test for None as operator, r-42"


async def test_a_message_may_be_as_large_as_a_ticket_with_its_evidence(keys: Keys) -> None:
    async def again(text: str) -> str:
        return text

    async with echo_service(keys, again) as service:
        large = "x" * (6 * 1024 * 1024)
        answer = await service.stub.Say(echo(large))
        assert len(answer.text) == len(large)


async def test_a_token_given_with_the_call_is_left_alone(keys: Keys) -> None:
    async with echo_service(keys, who) as service:
        metadata = keys.metadata("echo", tenant="initech", subject="grpcurl", role="viewer")
        answer = await service.stub.Say(echo("?"), metadata=metadata)
    assert answer.text.startswith("grpcurl for initech as viewer")


async def test_a_token_is_minted_once_and_used_again(keys: Keys) -> None:
    tokens: list[object] = []

    async with _bare_server(_Recorder(tokens)) as target, channel_to(target, keys) as channel:
        for tenant in ("acme", "acme", "globex"):
            with acting_for(tenant, subject="test"):
                await EchoStub(channel).Say(echo("?"))
    assert tokens[0] == tokens[1] != tokens[2]


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(keys: Keys) -> None:
    async with echo_service(keys, who) as service:
        answer = await service.stub.Say(echo("?"), metadata=(("x-request-id", 'r" forged="yes'),))
    assert "forged" not in answer.text


async def test_a_second_hop_knows_the_first_hops_caller_request_and_time(keys: Keys) -> None:
    async def remember(_text: str) -> str:
        return f"{await who('')} within {remaining_seconds()}"

    async with echo_service(keys, remember, name="second") as second:

        async def forward(text: str) -> str:
            return f"{(await second.stub.Say(echo(text))).text} of {remaining_seconds()}"

        async with echo_service(keys, forward, name="first") as first:
            adopt_request_id("r-43")
            with acting_for("globex", subject="gateway", role="viewer"):
                answer = await first.stub.Say(echo("?"), timeout=5)
    who_second, times = answer.text.split(" within ")
    assert who_second == "test for globex as viewer, r-43"
    second_had, first_had = map(float, times.split(" of "))
    assert second_had < first_had < 5


async def test_a_hop_that_ran_out_of_time_does_not_wait_longer_than_its_caller(keys: Keys) -> None:
    cancelled = asyncio.Event()

    async def forever(_text: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    codes: list[grpc.StatusCode] = []
    async with echo_service(keys, forever, name="second") as second:

        async def forward(text: str) -> str:
            try:
                return str((await second.stub.Say(echo(text), timeout=600)).text)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
                raise

        async with echo_service(keys, forward, name="first") as first:
            with pytest.raises(grpc.aio.AioRpcError):
                await first.stub.Say(echo("?"), timeout=0.5)
            await eventually(cancelled.is_set)
    assert codes == [grpc.StatusCode.DEADLINE_EXCEEDED]


async def test_cancelling_the_first_hop_reaches_the_second(keys: Keys) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(_text: str) -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    async with echo_service(keys, forever, name="second") as second:

        async def forward(text: str) -> str:
            return str((await second.stub.Say(echo(text))).text)

        async with echo_service(keys, forward, name="first") as first:
            ongoing = first.stub.Say(echo("?"))
            await eventually(began.is_set)
            ongoing.cancel()
            await eventually(cancelled.is_set)


@pytest.mark.parametrize(("method", "attempts"), [("Say", 3), ("Write", 1)])
async def test_only_what_the_contract_calls_repeatable_is_repeated(
    keys: Keys, method: str, attempts: int
) -> None:
    refusals = _Recorder([], code=grpc.StatusCode.UNAVAILABLE)
    async with _bare_server(refusals) as target, channel_to(target, keys) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(EchoStub(channel), method)(echo("?"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(refusals.seen) == attempts


async def test_other_failures_are_never_repeated(keys: Keys) -> None:
    refusals = _Recorder([], code=grpc.StatusCode.INTERNAL)
    async with _bare_server(refusals) as target, channel_to(target, keys) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await EchoStub(channel).Say(echo("?"))
    assert len(refusals.seen) == 1


async def test_a_service_that_comes_back_is_found_again(keys: Keys) -> None:
    recorder = _Recorder([])
    async with _bare_server(recorder) as target:
        port = int(target.rpartition(":")[2])
        channel = channel_to(target, keys)
        stub = EchoStub(await channel.__aenter__())
        await stub.Say(echo("?"))
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Write(echo("?"))
    async with _bare_server(recorder, port=port):
        answer = await stub.Say(echo("back"), wait_for_ready=True, timeout=10)
        assert answer.text == "back"
        await channel.__aexit__(None, None, None)


def test_retries_name_only_the_repeatable_methods() -> None:
    config: Any = service_config([DESCRIPTOR])
    assert config["methodConfig"][0]["name"] == [{"service": DESCRIPTOR.full_name, "method": "Say"}]
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]


class _Recorder(EchoServicer):
    """A server without the kernel, to see what the kernel's channel sends."""

    def __init__(self, seen: list[object], code: grpc.StatusCode | None = None) -> None:
        self.seen = seen
        self._code = code

    async def Say(self, request: Any, _context: Any) -> Any:
        metadata = dict(_context.invocation_metadata())
        self.seen.append(metadata["authorization"])
        if self._code is not None:
            await _context.abort(self._code, "told to")
        return request

    Write = Say


class _Serving:
    def __init__(self, servicer: EchoServicer, port: int) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_to(self._server, servicer)
        self._target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"

    async def __aenter__(self) -> str:
        await self._server.start()
        return self._target

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)


def _bare_server(servicer: EchoServicer, port: int = 0) -> _Serving:
    return _Serving(servicer, port)
