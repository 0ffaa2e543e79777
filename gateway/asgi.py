"""The little of ASGI that the gateway does by hand: bodies with a limit, JSON answers, a client's leaving."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

import orjson
from starlette.types import Receive, Scope, Send

from gateway.errors import BodyTooLarge, BodyTooSlow, ClientGone

Answer = TypeVar("Answer")

_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 8 * 1024 * 1024

_JSON: Final = (b"content-type", b"application/json")
# What an API answers is for its caller alone.
_UNSTORED: Final = (b"cache-control", b"no-store")

ROUTE: Final = "dossier.route"
"""Where the scope says which route it was, in words of ours, for metrics and logs."""


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a header; None where there is none or, so that nothing is guessed, more than one."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            if found is not None:
                return None
            found = value
    return None if found is None else found.decode("latin-1")


async def read_body(scope: Scope, receive: Receive, *, limit: int, seconds: float) -> bytes:
    """Read no further than the limit, whatever the client says or does not say about the length.

    Nor any longer than that: who sends a byte at a time would hold a connection for ever.
    """
    declared = header(scope, b"content-length")
    if declared is not None and int(declared) > limit:
        raise BodyTooLarge(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _read(receive, limit=limit)
    except TimeoutError:
        raise BodyTooSlow(seconds) from None


async def _read(receive: Receive, *, limit: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body") and len(body) <= limit:
        chunks = [body]
        size = len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


async def send_json(
    send: Send,
    status: int,
    content: object,
    *,
    headers: Iterable[tuple[str, str]] = (),
    unread: Receive | None = None,
) -> None:
    """Answer; `unread` is the rest of a body that nobody wants, where there is one."""
    body = orjson.dumps(content)
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, _UNSTORED, length, *raw]})
    if unread is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _discard(unread)
        body = b""
    await send({"type": "http.response.body", "body": body})


async def _discard(receive: Receive) -> None:
    """Take some of it off the wire: closing over unread bytes may reset the connection under the answer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            left = _LINGER_BYTES
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message["body"])


async def gone(receive: Receive) -> None:
    """Return when the client has left; the body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Awaitable[Answer]) -> Answer:
    """Do the work, but cancel it when nobody waits for it any more."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGone
        return doing.result()
    finally:
        doing.cancel()
        leaving.cancel()
