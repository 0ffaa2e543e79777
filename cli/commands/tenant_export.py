"""`tenant export`: everything that is kept of a client, as one archive."""

import asyncio
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated

import orjson
import typer

from cli.asking import NOT_AGREED, agreed
from cli.errors import DossierError
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.progress import progress_of
from cli.tenancy import TenantArgument, asking_tenants
from cli.words import number_of
from dossier.tenants.v1 import tenant_service_pb2 as pb

_MANIFEST = "manifest.json"


def export(
    *,
    tenant_id: TenantArgument,
    to: Annotated[Path, typer.Option(metavar="FILE", help="The archive to write, such as acme.zip.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where there is one.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write everything that is kept of a client into a ZIP archive; secrets are never in it.

    Example: dossier tenant export acme --to acme.zip
    """
    instance, output = Instance.resolve(data_dir), Output(as_json=as_json)
    if to.exists() and not force:
        hint = "Say --force to replace it, or name another file."
        if not agreed(f"There is a file {to}.", "Replace it?", hint=hint, output=output):
            output.console.print("Nothing was written.")
            return NOT_AGREED
    with _becoming(to) as file:
        with progress_of("rows", total=None, output=output) as advance:
            asyncio.run(_write(instance, tenant_id, file, advance))
        with zipfile.ZipFile(file) as archive:
            manifest = orjson.loads(archive.read(_MANIFEST))
    rows = sum(each["rows"] for each in manifest["files"])
    data: dict[str, Json] = {"tenant": tenant_id, "file": str(to), "rows": rows, **manifest}
    output.result(
        data, shown=f"{number_of(rows, 'row')} in {number_of(len(manifest['files']), 'file')}: {to}"
    )
    return 0


async def _write(instance: Instance, tenant_id: str, file: IO[bytes], advance: Callable[[int], None]) -> None:
    seen = 0
    async with asking_tenants(instance) as tenants:
        async for part in tenants.ExportTenant(pb.ExportTenantRequest(tenant_id=tenant_id)):
            file.write(part.archive)
            advance(part.rows - seen)
            seen = part.rows


@contextmanager
def _becoming(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is whole, and is gone otherwise; only its user can read it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as trouble:
        raise DossierError(
            f"{path} cannot be written: {trouble.strerror}.",
            hint="Choose a folder that you may write.",
        ) from trouble
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
