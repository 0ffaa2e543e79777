"""Signed webhooks, each a ticket that nobody has seen: `python -m cli.bench.webhook_load`, told on its input.

Not k6, as elsewhere: its JavaScript takes 0.4 ms of CPU for each of them, which at 2,500/s is one of the two
cores that are measured. wrk, oha, vegeta and hey do not come from PyPI, and what does (locust, molotov,
pywrkr) rides on HTTP clients that take as much. This is a protocol under uvloop with httptools' parser, and
as many connections as callers, each sending its next webhook when the one before is answered.
"""

import asyncio
import hmac
import sys
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypedDict, cast
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop

_ANSWER_SECONDS: Final = 15.0
"""How long an answer is waited for when no more is sent: longer than the gateway lets a webhook wait."""


class Target(TypedDict):
    url: str
    secret: str


class Told(TypedDict):
    run: str
    """Begins every ticket's id, so that the tickets of this load can be told from others."""
    callers: int
    warmup_seconds: float
    seconds: float
    targets: Sequence[Target]
    tickets: Sequence[dict[str, str]]


class Summary(TypedDict):
    """Of the measured seconds, except for `ids` and `lost`."""

    seconds: float
    latencies_ms: list[float]
    """Of all answers, in the order in which they came."""
    answers: dict[str, int]
    """By status."""
    cpu_seconds: float
    """What this process took."""
    ids: list[str]
    """The enhancements that were answered with 202, warm-up and the last answers included."""
    lost: int
    """Webhooks that never had an answer."""


@dataclass(frozen=True, slots=True)
class _Sender:
    """One client's tool: makes the bytes of a webhook."""

    head: bytes
    secret: bytes

    @classmethod
    def to(cls, target: Target) -> "_Sender":
        address = urlsplit(target["url"])
        lines = (
            f"POST {address.path} HTTP/1.1",
            f"Host: {address.netloc}",
            "User-Agent: dossier-bench",
            "Content-Type: application/json",
            "X-ServiceDesk-Signature: sha256=",
        )
        return cls("\r\n".join(lines).encode(), target["secret"].encode())

    def webhook(self, ticket_id: str, rest: bytes) -> bytes:
        body = b'{"event":"ticket_created","ticket_id":"%b",%b' % (ticket_id.encode(), rest)
        signature = hmac.digest(self.secret, body, "sha256").hex().encode()
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (self.head, signature, len(body), body)


class _Load:
    """What all callers share: the clock, and what they counted."""

    def __init__(self, told: Told) -> None:
        self.run = told["run"]
        self.rests = [orjson.dumps(ticket)[1:] for ticket in told["tickets"]]
        self.begin = time.perf_counter() + told["warmup_seconds"]
        self.end = self.begin + told["seconds"]
        self.latencies = array("d")
        self.answers: Counter[int] = Counter()
        self.accepted: list[bytes] = []
        self.lost = 0

    def count(self, status: int, body: bytes, *, sent: float) -> None:
        now = time.perf_counter()
        if status == 202:
            self.accepted.append(body)
        if self.begin <= now <= self.end:
            self.answers[status] += 1
            self.latencies.append((now - sent) * 1000)


class _Caller(asyncio.Protocol):
    def __init__(self, load: _Load, sender: _Sender, number: int) -> None:
        self._load = load
        self._sender = sender
        self._number = number
        self._sent = 0
        self._since: float | None = None
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def _next(self) -> None:
        if time.perf_counter() >= self._load.end:
            self._transport.close()
            return
        self._sent += 1
        rests = self._load.rests
        webhook = self._sender.webhook(
            f"{self._load.run}-{self._number}-{self._sent}", rests[(self._number + self._sent) % len(rests)]
        )
        self._since = time.perf_counter()
        self._transport.write(webhook)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._since is not None:
            self._load.count(self._parser.get_status_code(), self._body, sent=self._since)
        self._body, self._since = b"", None
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        self._load.lost += self._since is not None
        self.done.set_result(None)


def _same(caller: _Caller) -> _Caller:
    return caller


async def send(told: Told) -> Summary:
    loop = asyncio.get_running_loop()
    senders = [_Sender.to(target) for target in told["targets"]]
    load = _Load(told)
    cpu: list[float] = []
    for moment in (told["warmup_seconds"], told["warmup_seconds"] + told["seconds"]):
        loop.call_later(moment, lambda: cpu.append(time.process_time()))
    callers = [_Caller(load, senders[number % len(senders)], number) for number in range(told["callers"])]
    address = urlsplit(told["targets"][0]["url"])
    for caller in callers:
        await loop.create_connection(partial(_same, caller), address.hostname or "", address.port or 80)
    ending = told["warmup_seconds"] + told["seconds"] + _ANSWER_SECONDS
    _, waiting = await asyncio.wait([caller.done for caller in callers], timeout=ending)
    return Summary(
        seconds=told["seconds"],
        latencies_ms=load.latencies.tolist(),
        answers={str(status): count for status, count in load.answers.items()},
        cpu_seconds=cpu[1] - cpu[0],
        ids=[orjson.loads(body)["enhancement_id"] for body in load.accepted],
        lost=load.lost + len(waiting),
    )


if __name__ == "__main__":
    _summary = orjson.dumps(uvloop.run(send(orjson.loads(sys.stdin.buffer.read()))))
    # Under PYTHONUNBUFFERED `sys.stdout.buffer` is the bare file, whose write may end early and not say so.
    with open(sys.stdout.fileno(), "wb", closefd=False) as _output:
        _output.write(_summary)
