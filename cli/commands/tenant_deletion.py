"""`tenant delete|deletions`: a client is removed for good, and shown to be."""

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from cli.asking import NOT_AGREED, typed
from cli.errors import DossierError
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.paging import pages
from cli.progress import progress_of
from cli.show.deletions import (
    awaited_of,
    deletion_json,
    deletion_shown,
    deletions_table,
    left_of,
    removed_of,
    rows_and_keys,
)
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_deletion_pb2 import DELETION_STATE_DONE, TenantDeletion

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

_LEFT: Final = 1
_NOT_FOUND: Final = "TENANT_NOT_FOUND"
_LOOK_SECONDS: Final = 0.5
_PAGE: Final = 100


def delete(
    *,
    tenant_id: TenantArgument,
    yes: Annotated[
        str | None, typer.Option("--yes", metavar="ID", help="The client's id again: do not ask.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="How long to wait for the end; the removal goes on without.")
    ] = 600,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete a client for good, with everything that is kept of it, and show that nothing is left.

    Exit code 1 when something is left, or a service is still waited for.

    Example: dossier tenant delete acme --yes acme
    """
    deleting = _Deleting(
        tenant_id, yes=yes, dry_run=dry_run, wait_seconds=wait_seconds, output=Output(as_json=as_json)
    )
    try:
        return asyncio.run(deleting.delete(Instance.resolve(data_dir)))
    except DossierError as error:
        if error.reason != _NOT_FOUND:
            raise
        hint = (
            f"`dossier tenant deletions {tenant_id}` shows whether it was deleted, `dossier tenant list` the"
            " clients there are."
        )
        raise DossierError(str(error), hint=hint, reason=error.reason) from error


def deletions(
    *,
    tenant_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only those of this client; an id may be taken again.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the clients that were deleted or are being, the newest first: what remains of them.

    With an ID also what was removed of each table, and the hash of the last audit event.
    Example: dossier tenant deletions acme
    """
    found = [
        each for each in asyncio.run(_all(Instance.resolve(data_dir))) if tenant_id in {None, each.tenant_id}
    ]
    none = f"No client {tenant_id} was deleted." if tenant_id else "No client was deleted yet."
    shown: RenderableType = deletions_table(found) if found else none
    if tenant_id:
        shown = Group(shown, *chain.from_iterable(map(_proof, found)))
    Output(as_json=as_json).result({"deletions": [deletion_json(each) for each in found]}, shown=shown)


def _proof(deletion: TenantDeletion) -> Sequence[RenderableType]:
    return (Text(f"\nDeletion {deletion.id}", style="bold"), deletion_shown(deletion))


class _Deleting:
    def __init__(
        self, tenant_id: str, *, yes: str | None, dry_run: bool, wait_seconds: float, output: Output
    ) -> None:
        self._tenant_id = tenant_id
        self._yes = yes
        self._dry_run = dry_run
        self._wait_seconds = wait_seconds
        self._output = output

    async def delete(self, instance: Instance) -> int:
        if self._yes not in {None, self._tenant_id}:
            raise DossierError(
                f"--yes says {self._yes}, not {self._tenant_id}.",
                hint="Repeat the id of the client to delete.",
            )
        async with asking_tenants(instance) as tenants:
            preview = await self._begin(tenants, validate_only=True)
            if self._dry_run:
                self._output.result(deletion_json(preview), shown=deletion_shown(preview))
                return 0
            if self._yes is None and not self._confirmed(preview):
                return NOT_AGREED
            deletion = await self._follow(tenants, preview, await self._begin(tenants, validate_only=False))
        self._output.result(deletion_json(deletion), shown=deletion_shown(deletion))
        return 0 if deletion.state == DELETION_STATE_DONE else _LEFT

    async def _begin(self, tenants: "TenantServiceAsyncStub", *, validate_only: bool) -> TenantDeletion:
        request = pb.DeleteTenantRequest(tenant_id=self._tenant_id, validate_only=validate_only)
        return (await tenants.DeleteTenant(request)).deletion

    def _confirmed(self, preview: TenantDeletion) -> bool:
        if self._output.as_json or not sys.stdin.isatty():
            raise DossierError(
                f"{rows_and_keys(left_of(preview))} would be removed. Nobody is there to be asked.",
                hint=f"Say --yes {self._tenant_id} to delete it, or --dry-run to see what there is.",
            )
        self._output.console.print(deletion_shown(preview))
        if typed("This cannot be undone. Type the client's id to delete it") == self._tenant_id:
            return True
        self._output.console.print("Nothing was deleted.")
        return False

    async def _follow(
        self, tenants: "TenantServiceAsyncStub", preview: TenantDeletion, begun: TenantDeletion
    ) -> TenantDeletion:
        end = time.monotonic() + self._wait_seconds
        deletion, told = begun, ""
        with progress_of("removed", total=left_of(preview) or None, output=self._output) as advance:
            seen = 0
            while deletion.state != DELETION_STATE_DONE and time.monotonic() < end:
                await asyncio.sleep(_LOOK_SECONDS)
                request = pb.GetTenantDeletionRequest(deletion_id=begun.id)
                deletion = (await tenants.GetTenantDeletion(request)).deletion
                advance(removed_of(deletion) - seen)
                seen = removed_of(deletion)
                waiting = "; ".join(awaited_of(deletion).values())
                if waiting and waiting != told:
                    self._output.console.print(f"Waiting: {waiting}. The removal goes on by itself.")
                told = waiting
        return deletion


async def _all(instance: Instance) -> list[TenantDeletion]:
    request = pb.ListTenantDeletionsRequest(page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        return [each async for page in pages(tenants.ListTenantDeletions, request) for each in page.deletions]
