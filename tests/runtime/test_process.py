"""A service as a process: signals, drain and exit codes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.runtime.serve import EXIT_FAILED
from tests.runtime.harness import channel_to, eventually
from tests.support.grpc_echo import EchoStub, echo
from tests.support.keys import Keys


@dataclass(slots=True)
class Process:
    child: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    def line(self, event: str) -> dict[str, Any]:
        return next(line for line in self.lines if line["event"] == event)

    @property
    def target(self) -> str:
        return str(self.line("service_started")["target"])

    async def read(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self.lines.append(json.loads(line))


@asynccontextmanager
async def echo_process(keys: Keys, **environment: str) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.runtime.echo_process",
        env={**os.environ, **keys.environment, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    process = Process(child)
    reading = asyncio.create_task(process.read())
    try:
        await eventually(
            lambda: {"service_started", "service_ready"} <= {*process.events} or child.returncode is not None,
            within_seconds=30,
        )
        yield process
        async with asyncio.timeout(30):
            await child.wait()
            await reading
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_finish_refuses_new_ones_and_ends_cleanly(
    keys: Keys, tmp_path: Path, signal_number: int
) -> None:
    release = tmp_path / "release"
    async with echo_process(keys) as process:
        target = process.target
        async with channel_to(target, keys) as channel, channel_to(target, keys) as late:
            in_flight = EchoStub(channel).Write(echo(str(release)))
            await EchoStub(channel).Say(echo("both are on their way"))
            process.child.send_signal(signal_number)
            await eventually(lambda: "service_draining" in process.events)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await EchoStub(late).Write(echo("too late"))
            release.touch()
            assert (await in_flight).text == str(release)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert process.child.returncode == 0
    closed = [line["resource"] for line in process.lines if line["event"] == "closed"]
    assert closed == ["second", "first"]
    assert process.events[-1] == "service_stopped"


async def test_a_call_that_outlasts_the_drain_is_cut(keys: Keys) -> None:
    async with (
        echo_process(keys, DOSSIER_ECHO_DRAIN_SECONDS="0.2") as process,
        channel_to(process.target, keys) as channel,
    ):
        in_flight = EchoStub(channel).Write(echo("/never"))
        await EchoStub(channel).Say(echo("both are on their way"))
        process.child.terminate()
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await in_flight
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        await process.child.wait()
    assert process.child.returncode == 0
    assert process.line("call_finished")["method"] == "/kernel.test.v1.EchoService/Say"


async def test_a_service_whose_background_work_fails_ends_and_says_why(keys: Keys, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    async with echo_process(keys, DOSSIER_ECHO_FAILS_WHEN_EXISTS=str(broken)) as process:
        broken.touch()
    assert process.child.returncode == EXIT_FAILED
    assert "the background work broke" in process.line("service_failed")["exception"]


async def test_a_port_in_use_is_an_error_and_not_shared(keys: Keys) -> None:
    async with echo_process(keys) as first:
        port = first.target.rpartition(":")[2]
        async with echo_process(keys, DOSSIER_ECHO_GRPC_PORT=port) as second:
            pass
        first.child.terminate()
    assert second.child.returncode == EXIT_FAILED
    assert port in second.line("service_failed")["exception"]
