"""What is written about a call, and what never is."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import structlog

from services.runtime import logs
from services.runtime.errors import DependencyUnavailable
from services.runtime.request_id import adopt_request_id
from tests.runtime.harness import echo_service, eventually
from tests.support.grpc_echo import echo
from tests.support.keys import Keys

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is one for the whole process: put it back."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def json_lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Log as JSON from here on; the result reads all lines so far."""
    logs.configure(format="json", level="INFO", service="echo")
    seen: list[dict[str, Any]] = []

    def read() -> list[dict[str, Any]]:
        seen.extend(json.loads(line) for line in capsys.readouterr().out.splitlines())
        return seen

    return read


async def test_a_call_leaves_one_line_with_its_ids_and_without_its_token(
    keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(capsys)

    async def fine(text: str) -> str:
        return text

    async with echo_service(keys, fine) as service:
        adopt_request_id("r-44")
        await service.stub.Say(echo("secret tea"))
    finished = [line for line in lines() if line["event"] == "call_finished"]
    assert len(finished) == 1
    expected = {
        "service": "echo",
        "level": "info",
        "method": "/kernel.test.v1.EchoService/Say",
        "code": "OK",
        "request_id": "r-44",
        "tenant": "acme",
    }
    assert expected.items() <= finished[0].items()
    assert "eyJ" not in str(lines())
    assert "secret tea" not in str(lines())


async def test_a_bug_is_logged_once_with_its_cause_and_no_password(
    keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(capsys)

    async def breaks(_text: str) -> str:
        raise RuntimeError("cannot reach postgresql://dossier:hunter2@db/dossier")

    async with echo_service(keys, breaks) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.Say(echo("tea"))
    failed = [line for line in lines() if "RuntimeError" in str(line)]
    assert [line["event"] for line in failed] == ["call_failed"]
    assert failed[0]["request_id"] in str(caught.value.details())
    assert "cannot reach postgresql://dossier:***@db/dossier" in failed[0]["exception"]


async def test_an_outage_is_logged_with_its_reason_and_cause(
    keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(capsys)

    async def away(_text: str) -> str:
        raise DependencyUnavailable("postgresql") from ConnectionRefusedError("nobody listens")

    async with echo_service(keys, away) as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Write(echo("tea"))
    line = next(line for line in lines() if line["event"] == "call_finished")
    assert line["level"] == "warning"
    assert line["reason"] == "DEPENDENCY_UNAVAILABLE"
    assert line["cause"] == "ConnectionRefusedError: nobody listens"


async def test_a_cancelled_call_is_logged_as_cancelled(
    keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = json_lines(capsys)

    async def forever(_text: str) -> str:
        ongoing.cancel()
        await eventually(lambda: False)
        return ""

    async with echo_service(keys, forever) as service:
        ongoing = service.stub.Say(echo("tea"))
        await eventually(lambda: any(line.get("code") == "CANCELLED" for line in lines()))


def test_libraries_write_in_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    lines = json_lines(capsys)
    logging.getLogger("asyncpg").warning("pool is %s", "full")
    assert lines()[0]["event"] == "pool is full"
    assert lines()[0]["service"] == "echo"


def test_a_token_in_a_line_is_blotted_out(keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    lines = json_lines(capsys)
    structlog.get_logger().info("odd", header=f"Bearer {keys.mint('echo')}")
    assert lines()[0]["header"] == "Bearer ***"


def look_up(*words: str) -> None:
    token = " ".join(words)
    raise LookupError(len(token))


def test_a_terminal_gets_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(format="console", level="INFO", service="echo")
    try:
        look_up("a local", "variable")
    except LookupError:
        structlog.get_logger().exception("ticket_recorded", url="redis://:hunter2@cache/0")
    written = capsys.readouterr().out
    assert "ticket_recorded" in written
    assert not written.startswith("{")
    assert "LookupError" in written
    assert "hunter2" not in written
    assert "a local variable" not in written


@pytest.mark.parametrize("odd", ["half of \ud83d", 2**70, object()], ids=["character", "number", "thing"])
def test_what_is_odd_in_a_line_raises_nothing(capsys: pytest.CaptureFixture[str], odd: object) -> None:
    lines = json_lines(capsys)

    structlog.get_logger("odd").info("something_odd", value=odd)

    assert [line["event"] for line in lines()] == ["something_odd"]
