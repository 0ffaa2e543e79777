"""The lines of a body, as they come. No more of it is kept than the line that has not ended."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from grpc import StatusCode
from starlette.types import Message, Receive, Scope

from gateway.asgi import header
from gateway.errors import BodyTooLarge, BodyUnread, ClientGone, HttpError
from gateway.imports.gunzip import Gunzip

Line: TypeAlias = bytes | None
"""None is one that was too long to be kept."""

_MARK: Final = b"\xef\xbb\xbf"


class BodyStalled(BodyUnread):
    """Nothing, or no whole line, has come for too long."""

    status = 408
    code = StatusCode.DEADLINE_EXCEEDED
    reason = "BODY_STALLED"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"no line has come for {seconds:g} s; what was taken stays, send all of it again",
            metadata={"seconds": f"{seconds:g}"},
        )


class EncodingUnsupported(HttpError):
    status = 415
    code = StatusCode.INVALID_ARGUMENT
    reason = "CONTENT_ENCODING_UNSUPPORTED"
    headers = (("accept-encoding", "gzip"),)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    line_bytes: int
    body_bytes: int
    """Unpacked."""
    stall_seconds: float
    """How long may pass without a line."""


class Splitter:
    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = bytearray()
        self._too_long = False

    def split(self, piece: bytes) -> list[Line]:
        """The lines that end in this piece."""
        first, *others = piece.split(b"\n")
        self._hold(first)
        if not others:
            return []
        lines = [self._taken(), *(self._kept(line) for line in others[:-1])]
        self._hold(others[-1])
        return lines

    def rest(self) -> list[Line]:
        """The last line, where no line break ended it."""
        return [self._taken()] if self._held or self._too_long else []

    def _hold(self, part: bytes) -> None:
        if self._too_long or len(self._held) + len(part) > self._longest:
            self._too_long = True
            self._held.clear()
        else:
            self._held += part

    def _kept(self, line: bytes) -> Line:
        return line if len(line) <= self._longest else None

    def _taken(self) -> Line:
        line = None if self._too_long else bytes(self._held)
        self._held.clear()
        self._too_long = False
        return line


async def lines_of(scope: Scope, receive: Receive, *, limits: BodyLimits) -> AsyncGenerator[list[Line], None]:
    """As many at a time as have come, blank ones too."""
    unpacked, end = _unpacking(scope, limits)
    splitter = Splitter(limits.line_bytes)
    size = 0
    waited = 0.0
    begins = True
    more = True
    while more:
        since = time.monotonic()
        message = await _next(receive, limits, left=limits.stall_seconds - waited)
        waited += time.monotonic() - since
        more = message.get("more_body", False)
        for piece in unpacked(message.get("body", b"")):
            size += len(piece)
            if size > limits.body_bytes:
                raise BodyTooLarge(limits.body_bytes)
            if lines := splitter.split(piece):
                waited = 0.0
                yield [_unmarked(lines[0]), *lines[1:]] if begins else lines
                begins = False
            # One who sends much must not keep the others from their turn.
            await asyncio.sleep(0)
    end()
    if lines := splitter.rest():
        yield [_unmarked(lines[0])] if begins else lines


def _unpacking(
    scope: Scope, limits: BodyLimits
) -> tuple[Callable[[bytes], Iterable[bytes]], Callable[[], None]]:
    """What makes pieces of what comes, and what is to be done at its end."""
    match (header(scope, b"content-encoding") or "identity").strip().lower():
        case "gzip" | "x-gzip":
            gunzip = Gunzip()
            return gunzip.pieces, gunzip.end
        case "identity":
            declared = header(scope, b"content-length")
            if declared is not None and int(declared) > limits.body_bytes:
                raise BodyTooLarge(limits.body_bytes)
            return lambda body: (body,), lambda: None
        case other:
            raise EncodingUnsupported(
                f"Content-Encoding {other} is not understood; send gzip, or none", field="Content-Encoding"
            )


async def _next(receive: Receive, limits: BodyLimits, *, left: float) -> Message:
    try:
        async with asyncio.timeout(left):
            message = await receive()
    except TimeoutError:
        raise BodyStalled(limits.stall_seconds) from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _unmarked(line: Line) -> Line:
    return line.removeprefix(_MARK) if line is not None else None
