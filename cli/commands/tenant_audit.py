"""`tenant audit list|verify`: what was changed of a client, by whom, and whether the log is whole."""

import asyncio
import re
from typing import Annotated

import typer

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.show.tenants import event_json, events_table
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.audit_pb2 import AuditEvent

audit = typer.Typer(help="A client's audit log: list, verify.", no_args_is_help=True)

_PAGE = 100
_BROKEN = 1
_HASH = re.compile("[0-9a-f]{64}")


@audit.command("list")
def list_events(
    *, tenant_id: TenantArgument, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List what was changed and by whom, the oldest first; with --json to keep or to show to the client."""
    events = asyncio.run(_all(Instance.resolve(data_dir), tenant_id))
    data: dict[str, Json] = {"tenant": tenant_id, "events": [event_json(event) for event in events]}
    Output(as_json=as_json).result(data, shown=events_table(events) if events else "Nothing was changed yet.")


def _hash(given: str) -> str:
    if given and not _HASH.fullmatch(given):
        raise typer.BadParameter("64 hexadecimal digits, as `verify` has printed them")
    return given


@audit.command("verify")
def verify(
    *,
    tenant_id: TenantArgument,
    known_hash: Annotated[
        str,
        typer.Option(
            callback=_hash, help="A hash noted before: shows that the newest events were not cut off."
        ),
    ] = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute every hash again. Exit code 1 where an event was changed or is missing."""

    async def ask() -> pb.VerifyAuditLogResponse:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            request = pb.VerifyAuditLogRequest(tenant_id=tenant_id, known_hash=known_hash)
            return await tenants.VerifyAuditLog(request)

    found = asyncio.run(ask())
    whole = bool(found.events) and not found.broken_at and (not known_hash or found.known_hash_found)
    data: dict[str, Json] = {
        "tenant": tenant_id,
        "whole": whole,
        "events": found.events,
        "removed_events": found.removed_events,
        "head_hash": found.head_hash,
        "broken_at": found.broken_at or None,
        "known_hash_found": found.known_hash_found if known_hash else None,
    }
    if found.broken_at:
        told = (
            f"The log is broken at event {found.broken_at}: it, or one before it, was changed or taken out."
        )
    elif not found.events:
        told = "The log is empty: the client is older than it and unchanged since, or it was taken away."
    elif not whole:
        told = "The log fits together, but the known hash is not in it: events were cut off, or written anew."
        if found.removed_events:
            told += f" Or it was one of the {found.removed_events} oldest, which the retention has removed."
    else:
        told = (
            f"The log is whole: {found.events} events. Note the newest one's hash outside: {found.head_hash}."
        )
        if found.removed_events:
            told += f" {found.removed_events} older ones were removed by the retention."
    Output(as_json=as_json).result(data, shown=told)
    return 0 if whole else _BROKEN


async def _all(instance: Instance, tenant_id: str) -> list[AuditEvent]:
    request = pb.ListAuditEventsRequest(tenant_id=tenant_id, page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        return [each async for page in pages(tenants.ListAuditEvents, request) for each in page.events]
