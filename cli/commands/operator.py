"""`operator keys|audit`: API keys of the provider's own staff, for all clients, and the log of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

import typer
from rich.panel import Panel

from cli.audit_events import SinceOption, Wanted, WhatOption, WhoOption, names_of_keys, show_wanted
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.show.audit import BROKEN, KnownHashOption, in_words, is_whole, verdict_json
from cli.show.tenants import key_json, keys_table, shown_once
from cli.tenancy import asking_tenants
from cli.words import value_of
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.api_key_pb2 import ApiKey, Role
from dossier.tenants.v1.audit_pb2 import AuditEvent

operator = typer.Typer(help="What is the provider's own: API keys for all clients.", no_args_is_help=True)
keys = typer.Typer(help="API keys for all clients: create, list, revoke.", no_args_is_help=True)
audit = typer.Typer(help="The log of changes of these keys: list, verify.", no_args_is_help=True)
operator.add_typer(keys, name="keys")
operator.add_typer(audit, name="audit")

_KEYS_PAGE = 500
_EVENTS_PAGE = 100


class StaffRole(StrEnum):
    OPERATOR = "operator"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


@keys.command("create")
def create(
    *,
    role: Annotated[StaffRole, typer.Option(help="What it may do; each may what those after it may.")],
    name: Annotated[str, typer.Option(help="Whose it is or what for, for people.")] = "",
    expires_days: Annotated[
        float | None, typer.Option(min=0.01, max=3650, help="How long it is good; without it for good.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for all clients, shown this once. Requests name a client in `X-Dossier-Tenant`.

    Example: dossier operator keys create --role technician --name "night shift" --expires-days 90
    """
    request = pb.CreateOperatorKeyRequest(
        role=Role.ValueType(value_of(Role.DESCRIPTOR, role)), display_name=name, request_id=str(uuid4())
    )
    if expires_days is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=expires_days))

    async def ask() -> pb.CreateOperatorKeyResponse:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            return await tenants.CreateOperatorKey(request)

    made = asyncio.run(ask())
    data: dict[str, Json] = {"api_key": made.api_key, **key_json(made.key)}
    remark = f"Shown this once. `dossier operator keys revoke {made.key.id}` ends it."
    panel = Panel(
        shown_once({"api_key": made.api_key}, remark),
        title=f"A {role} key for all clients",
        title_align="left",
    )
    Output(as_json=as_json).result(data, shown=panel)


@keys.command("list")
def list_keys(*, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the API keys for all clients: their roles, when they were used, whether they are good.

    Example: dossier operator keys list
    """
    found = asyncio.run(_all_keys(Instance.resolve(data_dir)))
    shown = keys_table(found) if found else "No key: `dossier operator keys create --role …`."
    Output(as_json=as_json).result({"keys": [key_json(key) for key in found]}, shown=shown)


@keys.command("revoke")
def revoke(
    *,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, not the key.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key for good; it is refused everywhere within two seconds.

    Example: dossier operator keys revoke 0198c5a0-5b7e-7d3a-9c1f-2b1f0a6d4e55
    """

    async def ask() -> ApiKey:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            return (await tenants.RevokeOperatorKey(pb.RevokeOperatorKeyRequest(key_id=key_id))).key

    revoked = asyncio.run(ask())
    Output(as_json=as_json).result(key_json(revoked), shown=f"The key {revoked.id} is revoked.")


@audit.command("list")
def list_events(
    *,
    who: WhoOption = "",
    what: WhatOption = "",
    since: SinceOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was changed and by whom, the oldest first.

    Example: dossier operator audit list --what RevokeOperatorKey --json
    """
    every, names = asyncio.run(_all_events(Instance.resolve(data_dir)))
    wanted = Wanted(who=who, what=what, since=since)
    show_wanted(every, wanted, names, output=Output(as_json=as_json))


@audit.command("verify")
def verify(
    *,
    known_hash: KnownHashOption = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute every hash again. Exit code 1 where an event was changed or is missing.

    Example: dossier operator audit verify --known-hash HASH
    """

    async def ask() -> pb.VerifyOperatorAuditLogResponse:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            return await tenants.VerifyOperatorAuditLog(
                pb.VerifyOperatorAuditLogRequest(known_hash=known_hash)
            )

    found = asyncio.run(ask())
    whole = is_whole(found, known_hash=known_hash)
    empty = "The log is empty: no key was ever made, or it was taken away."
    Output(as_json=as_json).result(
        verdict_json(found, known_hash=known_hash), shown=in_words(found, whole=whole, empty=empty)
    )
    return 0 if whole else BROKEN


async def _all_keys(instance: Instance) -> list[ApiKey]:
    request = pb.ListOperatorKeysRequest(page_size=_KEYS_PAGE)
    async with asking_tenants(instance) as tenants:
        return [each async for page in pages(tenants.ListOperatorKeys, request) for each in page.keys]


async def _all_events(instance: Instance) -> tuple[list[AuditEvent], dict[str, str]]:
    request = pb.ListOperatorAuditEventsRequest(page_size=_EVENTS_PAGE)
    async with asking_tenants(instance) as tenants:
        events = [
            each async for page in pages(tenants.ListOperatorAuditEvents, request) for each in page.events
        ]
        return events, await names_of_keys(tenants, None)
