"""Puts everything that is kept of a client into one archive, while it is read: nothing is gathered first."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, Protocol

import orjson

from services.tenants.model import TenantId
from tenantdata.rows import Chunk, LeftOut

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1


class Source(Protocol):
    def export(self, tenant: str) -> AsyncGenerator[Chunk | LeftOut, None]: ...


@dataclass(frozen=True, slots=True)
class Part:
    archive: bytes
    file: str
    rows: int


class _Outlet(io.RawIOBase):
    """What the archive is written into, and taken from as soon as it is."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: "ReadableBuffer", /) -> int:
        written = memoryview(content).nbytes
        self._written += content
        return written

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


class _Archive:
    """A ZIP archive that is written file by file. One that is left before `finish` has no end."""

    def __init__(self, outlet: _Outlet) -> None:
        self.rows = 0
        self.left_out: list[dict[str, str]] = []
        self._files: list[dict[str, object]] = []
        self._archive = zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED)
        self._content: IO[bytes] | None = None
        self._name = ""
        self._file_rows = 0
        self._digest = hashlib.sha256()

    def write(self, name: str, lines: bytes, rows: int) -> None:
        if self._content is None or name != self._name:
            self.end_file()
            self._content = self._archive.open(name, "w", force_zip64=True)
            self._name, self._file_rows, self._digest = name, 0, hashlib.sha256()
        self._content.write(lines)
        self._digest.update(lines)
        self._file_rows += rows
        self.rows += rows

    def end_file(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None
            digest = self._digest.hexdigest()
            self._files.append({"name": self._name, "rows": self._file_rows, "sha256": digest})

    def finish(self, tenant: TenantId) -> None:
        self.end_file()
        manifest = {
            "format": _FORMAT,
            "tenant": tenant,
            "exported": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": self._files,
            "left_out": self.left_out,
        }
        self._archive.writestr(MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        self._archive.close()

    def close(self) -> None:
        self.end_file()
        self._archive.close()


async def archived(tenant: TenantId, sources: Mapping[str, Source]) -> AsyncGenerator[Part, None]:
    """Give the archive part by part; the manifest comes last, and an archive without its end is none."""
    outlet = _Outlet()
    with closing(_Archive(outlet)) as archive:
        for service, source in sources.items():
            async with aclosing(source.export(tenant)) as parts:
                async for part in parts:
                    match part:
                        case LeftOut(what, reason):
                            archive.left_out.append({"what": f"{service}/{what}", "reason": reason})
                        case Chunk():
                            name = f"{service}/{part.table}.jsonl"
                            # To compress takes longer than other calls should wait for.
                            await asyncio.to_thread(archive.write, name, part.lines, part.rows)
                            yield Part(outlet.take(), name, archive.rows)
        archive.finish(tenant)
        yield Part(outlet.take(), "", archive.rows)
