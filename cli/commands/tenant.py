"""`tenant …`: the clients. Here `create`, `list` and `show`; the changes are in modules of their own."""

import asyncio
import uuid
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.panel import Panel

from cli.commands.tenant_audit import audit
from cli.commands.tenant_changes import (
    resume,
    set_credentials,
    suspend,
    update,
)
from cli.commands.tenant_connection import TestOption, told, try_connection
from cli.commands.tenant_deletion import delete, deletions
from cli.commands.tenant_export import export
from cli.commands.tenant_keys import keys
from cli.commands.tenant_reencrypt import reencrypt_secrets
from cli.commands.tenant_rotation import rotate_webhook_secret
from cli.commands.tenant_secrets import secrets
from cli.errors import UsageError
from cli.instance import Instance
from cli.options import DataDirOption, pairs
from cli.output import Json, JsonOption, Output
from cli.paging import pages
from cli.show.connection import connection_json
from cli.show.listing import listing
from cli.show.tenants import shown_once, tenant_facts, tenant_json
from cli.tenancy import TenantArgument, asking_tenants
from cli.words import word
from dossier.tenants.v1 import tenant_pb2, tenant_service_pb2
from ticketing.discovery import load_tools

tenant = typer.Typer(help="The clients: their settings, secrets, keys and audit log.", no_args_is_help=True)

_PAGE = 500


@tenant.command("create")
def create(
    *,
    tenant_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its name in addresses and tokens: a lower-case DNS label.")
    ],
    name: Annotated[
        str | None, typer.Option(help="The client's name, for people; the ID without one.")
    ] = None,
    tool: Annotated[
        str | None, typer.Option(help="Its ticketing tool's adapter; needed when more than one is installed.")
    ] = None,
    base_url: Annotated[str, typer.Option(help="The tool's address; without it notes are not posted.")] = "",
    credential: Annotated[
        list[str] | None,
        typer.Option(help="name=value for the tool's API, such as authtoken=…; value @path reads a file."),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="name=value that the adapter needs and is no secret.")
    ] = None,
    language: Annotated[
        str,
        typer.Option(help="The briefs' language, as a BCP 47 tag; the built-in writer knows only English."),
    ] = "",
    model: Annotated[str, typer.Option(help="The model to ask; else the service's default.")] = "",
    test: TestOption = True,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a client. Its webhook secret and API key are shown this once.

    With a --base-url the connection to the tool is tested; the client is created whatever comes of that.
    Example: dossier tenant create acme --base-url https://desk.example --credential authtoken=@token.txt
    """
    output = Output(as_json=as_json)
    instance = Instance.resolve(data_dir)
    wanted = tenant_pb2.Tenant(
        id=tenant_id,
        display_name=name or tenant_id,
        ticketing=tenant_pb2.TicketingConnection(
            tool=tool or _only_tool(), base_url=base_url, options=pairs("--option", option)
        ),
        brief=tenant_pb2.BriefSettings(language=language, model=model),
    )
    credentials = pairs("--credential", credential)
    with output.progress.status("Creating the client …"):
        made = asyncio.run(create_tenant(instance, wanted, credentials=credentials, test=test))
    data = {**tenant_json(made.tenant, instance), **_secrets(made)}
    shown = [_created(data)]
    if made.HasField("connection_test"):
        data["connection_test"] = connection_json(made.connection_test)
        shown.append(told(made.connection_test, tenant_id))
    output.result(data, shown=Group(*shown))


@tenant.command("list")
def list_tenants(*, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the clients."""
    instance = Instance.resolve(data_dir)
    found = asyncio.run(_all(instance))
    rows = [
        (
            *(each.id, each.display_name, word(tenant_pb2.TenantState.DESCRIPTOR, each.state)),
            *(each.ticketing.tool, each.ticketing.base_url),
        )
        for each in found
    ]
    table = listing(("tenant", "name", "state", "tool", "base URL"), rows, whole={"tenant"})
    shown = table if found else "There is no client yet: `dossier tenant create ID --name …` makes one."
    data: dict[str, Json] = {"tenants": [tenant_json(each, instance) for each in found]}
    Output(as_json=as_json).result(data, shown=shown)


@tenant.command("show")
def show(
    *,
    tenant_id: TenantArgument,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one client: how its tool is reached, how its briefs are written."""
    instance = Instance.resolve(data_dir)
    found = asyncio.run(_one(instance, tenant_id))
    Output(as_json=as_json).result(tenant_json(found, instance), shown=tenant_facts(found, instance))


tenant.command("update")(update)
tenant.command("suspend")(suspend)
tenant.command("resume")(resume)
tenant.command("rotate-secret")(rotate_webhook_secret)
tenant.command("set-credentials")(set_credentials)
tenant.command("reencrypt-secrets")(reencrypt_secrets)
tenant.command("export")(export)
tenant.command("delete")(delete)
tenant.command("deletions")(deletions)
tenant.command("test")(try_connection)
tenant.add_typer(secrets, name="secrets")
tenant.add_typer(keys, name="keys")
tenant.add_typer(audit, name="audit")


async def create_tenant(
    instance: Instance, wanted: tenant_pb2.Tenant, *, credentials: dict[str, str], test: bool = False
) -> tenant_service_pb2.CreateTenantResponse:
    request = tenant_service_pb2.CreateTenantRequest(
        tenant=wanted,
        ticketing_credentials=credentials,
        request_id=str(uuid.uuid4()),
        skip_connection_test=not test,
    )
    async with asking_tenants(instance) as tenants:
        return await tenants.CreateTenant(request)


async def _one(instance: Instance, tenant_id: str) -> tenant_pb2.Tenant:
    async with asking_tenants(instance) as tenants:
        return (await tenants.GetTenant(tenant_service_pb2.GetTenantRequest(tenant_id=tenant_id))).tenant


async def _all(instance: Instance) -> list[tenant_pb2.Tenant]:
    request = tenant_service_pb2.ListTenantsRequest(page_size=_PAGE)
    async with asking_tenants(instance) as tenants:
        return [each async for page in pages(tenants.ListTenants, request) for each in page.tenants]


def _secrets(made: tenant_service_pb2.CreateTenantResponse) -> dict[str, Json]:
    return {
        "webhook_url": made.webhook_url,
        "webhook_secret": made.webhook_secret,
        "api_key": made.api_key,
    }


def _created(data: dict[str, Json]) -> RenderableType:
    secrets = {name: str(data[name]) for name in ("webhook_url", "webhook_secret", "api_key")}
    remark = "Shown this once: give the secret to the ticketing tool, and keep the key."
    return Panel(shown_once(secrets, remark), title=f"Client {data['tenant']} created", title_align="left")


def _only_tool() -> str:
    installed = sorted(load_tools())
    if len(installed) != 1:
        raise UsageError("Which ticketing tool?", hint=f"Add --tool, one of: {', '.join(installed)}.")
    return installed[0]
