"""Reading no further than the limit, and giving up what nobody waits for."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.asgi import read_body, send_json, unless_gone
from gateway.errors import BodyTooLarge, BodyTooSlow, ClientGone
from tests.gateway.world import running_world
from tests.support.keys import Keys


class Sender:
    """A client that sends so many pieces of ten bytes, and then stops or leaves."""

    def __init__(self, pieces: int, *, leaves: bool = False) -> None:
        self.pieces = pieces
        self.leaves = leaves
        self.sent = 0

    async def receive(self) -> MutableMapping[str, Any]:
        if self.sent == self.pieces and self.leaves:
            return {"type": "http.disconnect"}
        self.sent += 1
        more = self.leaves or self.sent < self.pieces
        return {"type": "http.request", "body": b"0123456789", "more_body": more}


def scope(**headers: str) -> dict[str, Any]:
    return {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}


async def test_pieces_are_put_together() -> None:
    assert await read_body(scope(), Sender(3).receive, limit=30, seconds=30) == b"0123456789" * 3


async def test_reading_stops_right_past_the_limit() -> None:
    sender = Sender(1000)
    with pytest.raises(BodyTooLarge):
        await read_body(scope(), sender.receive, limit=30, seconds=30)
    assert sender.sent == 4


async def test_nothing_is_read_of_a_body_that_says_it_is_too_large() -> None:
    sender = Sender(1000)
    with pytest.raises(BodyTooLarge):
        await read_body(scope(content_length="31"), sender.receive, limit=30, seconds=30)
    assert sender.sent == 0


async def test_half_a_body_is_no_body() -> None:
    with pytest.raises(ClientGone):
        await read_body(scope(), Sender(2, leaves=True).receive, limit=30, seconds=30)


async def test_a_body_that_does_not_come_to_an_end_is_given_up() -> None:
    class Dripping(Sender):
        async def receive(self) -> MutableMapping[str, Any]:
            await asyncio.sleep(0.01)
            return await super().receive()

    dripping = Dripping(1_000_000)
    with pytest.raises(BodyTooSlow) as slow:
        await read_body(scope(), dripping.receive, limit=10_000_000, seconds=0.2)
    assert (slow.value.status, slow.value.reason) == (408, "BODY_TOO_SLOW")
    assert 0 < dripping.sent < 1_000_000


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ClientGone):
        await unless_gone(Sender(0, leaves=True).receive, work())
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_failure_of_the_work_is_its_failure() -> None:
    async def work() -> None:
        raise KeyError("x")

    async def stays() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(KeyError):
        await unless_gone(stays, work())


async def test_an_answer_to_a_body_cut_short_is_out_before_the_rest_is_thrown_away() -> None:
    sender = Sender(5)
    taken_when_sent: list[tuple[int, bool]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        taken_when_sent.append((sender.sent, bool(message.get("body"))))

    await send_json(send, 413, {"code": "x"}, unread=sender.receive)
    assert taken_when_sent == [(0, False), (0, True), (5, False)]


async def test_who_sends_too_slowly_reads_why(keys: Keys) -> None:
    async with running_world(keys, body_seconds=0.3) as world:
        reader, writer = await asyncio.open_connection(world.gateway.host, world.gateway.port)
        writer.write(
            b"POST /webhooks/acme/servicedesk_plus HTTP/1.1\r\nhost: x\r\ncontent-length: 15000\r\n\r\n"
        )
        # Sent on over the refusal, and read only then.
        for _ in range(15):
            writer.write(b"x" * 1000)
            await writer.drain()
            await asyncio.sleep(0.05)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"reason":"BODY_TOO_SLOW"' in answer
