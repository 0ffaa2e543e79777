"""Files that may be gzipped, read as what is in them."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.errors import DossierError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUFFIX: Final = ".gz"
_GZIPPED: Final = b"\x1f\x8b"
_BUFFER_BYTES: Final = 1 << 16


@contextmanager
def opened(path: Path, *, option: str = "") -> Iterator[io.BufferedReader]:
    """Open a file; its bytes say whether it is gzipped, whatever it is called. Errors name the option."""
    name = f"{option}: {path}" if option else str(path)
    try:
        file = path.open("rb")
    except OSError as trouble:
        hint = f"{option} takes a file, gzipped or not." if option else "Give a file that you may read."
        raise DossierError(f"{name} cannot be read: {trouble.strerror}.", hint=hint) from trouble
    with file, plain(file, name) as content:
        yield content


def plain(file: io.BufferedReader, name: str) -> io.BufferedReader:
    """What is in the file. Where its gzip is damaged, reading says so of `name`."""
    if not file.peek(len(_GZIPPED)).startswith(_GZIPPED):
        return file
    return io.BufferedReader(_Unpacking(file, name), _BUFFER_BYTES)


class _Unpacking(io.RawIOBase):
    def __init__(self, file: io.BufferedReader, name: str) -> None:
        super().__init__()
        self._content = gzip.GzipFile(fileobj=file, mode="rb")
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        try:
            part = self._content.read1(len(room))
        except (OSError, EOFError, zlib.error) as trouble:
            raise DossierError(
                f"{self._name} cannot be read: its gzip is damaged: {trouble}.",
                hint="Pack it again, or give it unpacked; `gzip --test FILE` tells whether it is whole.",
            ) from trouble
        room[: len(part)] = part
        return len(part)
