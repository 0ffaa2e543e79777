"""`tenant keys create|list|revoke`: a client's API keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid4

import typer
from rich.panel import Panel

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.show.tenants import key_json, keys_table, shown_once
from cli.tenancy import TenantArgument, asking_tenants
from cli.words import iso, value_of
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.api_key_pb2 import ApiKey, Role

keys = typer.Typer(help="A client's API keys: create, list, revoke.", no_args_is_help=True)


_PAGE = 500


class KeyRole(StrEnum):
    ADMIN = "admin"
    TECHNICIAN = "technician"
    VIEWER = "viewer"


@keys.command("create")
def create(
    *,
    tenant_id: TenantArgument,
    role: Annotated[KeyRole, typer.Option(help="What it may do; each may what those after it may.")],
    name: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    expires_days: Annotated[
        float | None, typer.Option(min=0.01, max=3650, help="How long it is good; without it for good.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key, shown this once."""
    request = pb.CreateApiKeyRequest(
        tenant_id=tenant_id,
        role=Role.ValueType(value_of(Role.DESCRIPTOR, role)),
        display_name=name,
        request_id=str(uuid4()),
    )
    if expires_days is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=expires_days))

    async def ask() -> pb.CreateApiKeyResponse:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            return await tenants.CreateApiKey(request)

    made = asyncio.run(ask())
    data: dict[str, Json] = {"tenant": tenant_id, "api_key": made.api_key, **key_json(made.key)}
    remark = f"Shown this once. `dossier tenant keys revoke {tenant_id} {made.key.id}` ends it."
    panel = Panel(
        shown_once({"api_key": made.api_key}, remark),
        title=f"A {role} key of client {tenant_id}",
        title_align="left",
    )
    Output(as_json=as_json).result(data, shown=panel)


@keys.command("list")
def list_keys(
    *, tenant_id: TenantArgument, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List a client's API keys: their roles, when they were used, whether they are good."""
    found = asyncio.run(_all(Instance.resolve(data_dir), tenant_id))
    data: dict[str, Json] = {"tenant": tenant_id, "keys": [key_json(key) for key in found]}
    shown = keys_table(found) if found else f"No key: `dossier tenant keys create {tenant_id} --role …`."
    Output(as_json=as_json).result(data, shown=shown)


@keys.command("revoke")
def revoke(
    *,
    tenant_id: TenantArgument,
    key_id: Annotated[UUID, typer.Argument(metavar="KEY", help="The key's id, as `keys list` shows it.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End an API key for good; it is refused everywhere within two seconds."""

    async def ask() -> ApiKey:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            request = pb.RevokeApiKeyRequest(tenant_id=tenant_id, key_id=str(key_id))
            return (await tenants.RevokeApiKey(request)).key

    revoked = asyncio.run(ask())
    shown = f"The key {revoked.id} is revoked, since {iso(revoked.revoke_time)}."
    Output(as_json=as_json).result({"tenant": tenant_id, **key_json(revoked)}, shown=shown)


async def _all(instance: Instance, tenant_id: str) -> list[ApiKey]:
    request = pb.ListApiKeysRequest(tenant_id=tenant_id, page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        return [each async for page in pages(tenants.ListApiKeys, request) for each in page.keys]
