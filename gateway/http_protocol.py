"""HTTP/1.1 as uvicorn speaks it, but with one write for an answer.

uvicorn writes head and body apart. Each is a system call and a packet of its own, and at both ends together
that is a fifth of what a webhook costs.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LINGER_SECONDS: Final = 10.0


class OneWriteProtocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(GatheringTransport(cast("asyncio.Transport", transport)))


class GatheringTransport(asyncio.Transport):
    """Sends what one turn of the event loop wrote, at the turn's end; everything else is the transport's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes | bytearray | memoryview[int]] = []

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)

    def writelines(self, list_of_data: Iterable["bytes | bytearray | memoryview[int]"]) -> None:
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        self._send()
        self._transport.close()
        self._linger(self._transport.get_write_buffer_size())

    def _linger(self, left: int) -> None:
        """Who takes nothing more of what is left would keep the connection open for ever."""
        if left:
            self._loop.call_later(_LINGER_SECONDS, self._look_again, left)

    def _look_again(self, before: int) -> None:
        left = self._transport.get_write_buffer_size()
        if left and left == before:
            self._transport.abort()
        else:
            self._linger(left)

    def abort(self) -> None:
        self._held.clear()
        self._transport.abort()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._held))

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()
