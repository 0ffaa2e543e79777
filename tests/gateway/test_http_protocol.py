"""What reaches the wire, and in how many pieces."""

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from gateway.http_protocol import GatheringTransport, OneWriteProtocol
from tests.gateway.world import eventually


class Pieces(asyncio.Transport):
    """Remembers what it was told to send, and when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.sent.append(b"<closed>")

    def abort(self) -> None:
        self.sent.append(b"<aborted>")

    def is_closing(self) -> bool:
        return bool(self.sent) and self.sent[-1] in {b"<closed>", b"<aborted>"}

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


@pytest.fixture
async def pieces() -> Pieces:
    return Pieces()


async def a_turn_of_the_loop() -> None:
    await asyncio.sleep(0)


async def test_what_one_turn_of_the_loop_writes_is_sent_at_once(pieces: Pieces) -> None:
    transport = GatheringTransport(pieces)
    transport.write(b"head ")
    transport.writelines([b"and ", b"body"])
    assert (pieces.sent, transport.get_write_buffer_size()) == ([], 13)
    await a_turn_of_the_loop()
    transport.write(b"next")
    await a_turn_of_the_loop()
    assert pieces.sent == [b"head and body", b"next"]


async def test_closing_sends_first_what_was_written(pieces: Pieces) -> None:
    transport = GatheringTransport(pieces)
    transport.write(b"last words")
    transport.close()
    await a_turn_of_the_loop()
    assert pieces.sent == [b"last words", b"<closed>"]


async def test_nothing_is_sent_after_the_connection_is_gone(pieces: Pieces) -> None:
    transport = GatheringTransport(pieces)
    transport.write(b"too late")
    transport.abort()
    transport.write(b"later still")
    await a_turn_of_the_loop()
    assert pieces.sent == [b"<aborted>"]


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b"kept"})


async def test_head_and_body_of_an_answer_are_one_piece(pieces: Pieces) -> None:
    config = uvicorn.Config(answer, http=OneWriteProtocol, lifespan="off", log_config=None)
    config.load()
    protocol = OneWriteProtocol(config, ServerState(), {})
    protocol.connection_made(pieces)
    protocol.data_received(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    await eventually(lambda: bool(pieces.sent))
    (whole,) = pieces.sent
    assert whole.startswith(b"HTTP/1.1 202")
    assert whole.endswith(b"\r\n\r\nkept")
    protocol.connection_lost(None)
