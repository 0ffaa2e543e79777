"""`tenant audit list|verify`: what was changed of a client, by whom, and whether the log is whole."""

import asyncio

import typer

from cli.audit_events import SinceOption, Wanted, WhatOption, WhoOption, names_of_keys, show_wanted
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.show.audit import BROKEN, KnownHashOption, in_words, is_whole, verdict_json
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.audit_pb2 import AuditEvent

audit = typer.Typer(help="A client's audit log: list, verify.", no_args_is_help=True)

_PAGE = 100


@audit.command("list")
def list_events(
    *,
    tenant_id: TenantArgument,
    who: WhoOption = "",
    what: WhatOption = "",
    since: SinceOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was changed and by whom, the oldest first; with --json to keep or to show to the client.

    Example: dossier tenant audit list acme --who console --what UpdateTenant --since 2026-11-01
    """
    every, names = asyncio.run(_all(Instance.resolve(data_dir), tenant_id))
    wanted = Wanted(who=who, what=what, since=since)
    show_wanted(every, wanted, names, output=Output(as_json=as_json), tenant=tenant_id)


@audit.command("verify")
def verify(
    *,
    tenant_id: TenantArgument,
    known_hash: KnownHashOption = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute every hash again. Exit code 1 where an event was changed or is missing."""

    async def ask() -> pb.VerifyAuditLogResponse:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            request = pb.VerifyAuditLogRequest(tenant_id=tenant_id, known_hash=known_hash)
            return await tenants.VerifyAuditLog(request)

    found = asyncio.run(ask())
    whole = is_whole(found, known_hash=known_hash)
    data: dict[str, Json] = {"tenant": tenant_id, **verdict_json(found, known_hash=known_hash)}
    empty = "The log is empty: the client is older than it and unchanged since, or it was taken away."
    Output(as_json=as_json).result(data, shown=in_words(found, whole=whole, empty=empty))
    return 0 if whole else BROKEN


async def _all(instance: Instance, tenant_id: str) -> tuple[list[AuditEvent], dict[str, str]]:
    request = pb.ListAuditEventsRequest(tenant_id=tenant_id, page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        events = [each async for page in pages(tenants.ListAuditEvents, request) for each in page.events]
        return events, await names_of_keys(tenants, tenant_id)
