"""Serves a stand-in on loopback, in this process, and can cut a connection as a crashing server would."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HOST: Final = "127.0.0.1"
_ABORT: Final = "standin.abort"


class LostReply(Response):
    """What was asked has been done, and the connection ends before a byte of the reply."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        await cut(scope, receive)
        if self.background is not None:
            await self.background()


async def cut(scope: Scope, receive: Receive) -> None:
    """End the connection with a reset, and wait until the server has noticed."""
    scope["extensions"][_ABORT]["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Abortable(HttpToolsProtocol):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_ABORT: {"abort": self.transport.abort}}


class _Guest(uvicorn.Server):
    """A server in somebody else's process: it leaves the signals alone, and ends when told, not at a tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.end = asyncio.Event()

    async def main_loop(self) -> None:
        await self.end.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Abortable,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


def _listener(port: int) -> socket.socket:
    # With the protocol named: asyncio sets TCP_NODELAY only then, and without it each reply waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _base_url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


@asynccontextmanager
async def listening(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Yield the base URL. The socket listens before the server has started, so no caller comes too early."""
    with _listener(port) as listener:
        server = _Guest(_config(app))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield _base_url(listener)
        finally:
            server.end.set()
            await serving


def serve(app: ASGIApp, *, port: int) -> None:
    """Serve until SIGINT or SIGTERM; prints the base URL once callers are welcome."""
    with _listener(port) as listener:
        sys.stdout.write(f"{_base_url(listener)}\n")
        sys.stdout.flush()
        uvicorn.Server(_config(app)).run(sockets=[listener])
