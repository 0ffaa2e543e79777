"""Bodies that were compressed, a little at a time: nothing is unpacked before somebody takes it."""

import zlib
from collections.abc import Iterator
from typing import Final

from gateway.errors import BodyInflated
from services.runtime.errors import InvalidArgument

_PIECE: Final = 64 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_MOST_TIMES: Final = 200
"""Rows, however alike, shrink to a hundredth at best; deflate can go to a thousandth."""
_UNSUSPICIOUS: Final = 1024 * 1024


class GzipBroken(InvalidArgument):
    reason = "GZIP_BROKEN"


class Gunzip:
    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False
        self._read = 0
        self._unpacked = 0

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        """Unpack what has come; members may follow one another, as they do where files are put together."""
        while packed or self._begun:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            self._begun = True
            piece = self._inflate(packed)
            if piece:
                yield piece
            if self._member.eof:
                packed, self._begun = self._member.unused_data, False
            else:
                packed = self._member.unconsumed_tail
                if not packed and len(piece) < _PIECE:
                    return

    def end(self) -> None:
        if self._begun:
            raise GzipBroken("the body's gzip ends in the middle", field="body")

    def _inflate(self, packed: bytes) -> bytes:
        try:
            piece = self._member.decompress(packed, _PIECE)
        except zlib.error:
            raise GzipBroken(
                "the body is not the gzip that Content-Encoding promises", field="body"
            ) from None
        self._read += len(packed) - len(self._member.unconsumed_tail) - len(self._member.unused_data)
        self._unpacked += len(piece)
        if self._unpacked > max(_UNSUSPICIOUS, self._read * _MOST_TIMES):
            raise BodyInflated(_MOST_TIMES)
        return piece
