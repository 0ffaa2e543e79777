"""`tenant secrets list`: a client's webhook secrets, without what they are."""

import asyncio

import typer

from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import Json, JsonOption, Output
from cli.show.tenants import secret_version_json, secret_versions_table
from cli.tenancy import TenantArgument, asking_tenants
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.webhook_secret_version_pb2 import WebhookSecretVersion

secrets = typer.Typer(
    help="A client's webhook secrets: which count, which the tool uses.", no_args_is_help=True
)


@secrets.command("list")
def list_versions(
    *, tenant_id: TenantArgument, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """List a client's webhook secrets, the newest first: since when, until when, when the tool used each.

    While one replaces another, it shows whether the tool still uses the old one.
    Example: dossier tenant secrets list acme
    """

    async def ask() -> list[WebhookSecretVersion]:
        async with asking_tenants(Instance.resolve(data_dir)) as tenants:
            request = pb.ListWebhookSecretVersionsRequest(tenant_id=tenant_id)
            return list((await tenants.ListWebhookSecretVersions(request)).versions)

    found = asyncio.run(ask())
    data: dict[str, Json] = {"tenant": tenant_id, "secrets": [secret_version_json(each) for each in found]}
    Output(as_json=as_json).result(data, shown=secret_versions_table(found))
