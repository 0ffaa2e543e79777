"""The echo service as a process: `python -m tests.runtime.echo_process`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from services.runtime.serve import Service, run
from tests.runtime.harness import EchoSettings
from tests.support.grpc_echo import DESCRIPTOR, EchoServicer, add_to

_log = structlog.get_logger(__name__)


class ProcessSettings(EchoSettings):
    fails_when_exists: Path = Path("/nowhere")
    """The background work fails once this file is there."""


async def wait_for_file(text: str) -> str:
    """A text that is a path is answered when the file is there."""
    while text.startswith("/") and not Path(text).exists():  # noqa: ASYNC110, ASYNC240 - another process makes the file
        await asyncio.sleep(0.01)
    return text


async def build(settings: ProcessSettings, closers: AsyncExitStack) -> Service:
    for name in ("first", "second"):
        closers.callback(_log.info, "closed", resource=name)

    async def background() -> None:
        await wait_for_file(str(settings.fails_when_exists))
        raise LookupError("the background work broke")

    servicer = EchoServicer(wait_for_file)
    return Service([(DESCRIPTOR, lambda server: add_to(server, servicer))], {}, [background])


if __name__ == "__main__":
    sys.exit(run("echo", ProcessSettings, build))
