"""`stand-in desk`: a ticketing tool on this machine, for an instance that has no real one to try."""

import asyncio
import secrets
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import typer
from rich.console import Group
from rich.text import Text

from cli.asking import NOT_AGREED, agreed
from cli.errors import DossierError
from cli.instance import Instance
from cli.options import DataDirOption, YesOption
from cli.output import Json, JsonOption, Output
from cli.show.tenants import facts, webhook_url
from cli.standins.servicedesk_plus.app import running
from cli.standins.servicedesk_plus.desk import NewRequest, ServiceDesk, WebhookTarget, new_requests
from cli.tenancy import asking_tenants, complete_tenant
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_pb2 import Tenant, TicketingConnection

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

stand_in = typer.Typer(help="What stands in for tools of others, to try things out.", no_args_is_help=True)

_TOOL: Final = "servicedesk_plus"
_HERE: Final = frozenset({"127.0.0.1", "localhost"})
_INCIDENT: Final = '{"subject": "VPN drops", "description": "Since 9:00, on every laptop."}'


@dataclass(frozen=True, slots=True)
class _Connected:
    tenant: Tenant
    webhook_secret: str = field(repr=False)
    api_key: str = field(repr=False, default="")
    """Of a client that was made for it."""


@stand_in.callback()
def _group() -> None:
    """Keep `desk` a verb of its own while it is the only one."""


@stand_in.command("desk")
def desk(
    *,
    tenant: Annotated[
        str,
        typer.Option(
            "--tenant",
            "-t",
            help="The client whose tool it is, made if need be; or one without another tool.",
            autocompletion=complete_tenant,
        ),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 is any free port.")] = 8090,
    requests: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Tickets to begin with: JSON Lines of subject, description, …"
        ),
    ] = None,
    yes: YesOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a ServiceDesk Plus in memory, connected to a client, until Ctrl-C.

    It sends signed webhooks, and takes and shows notes. The instance has to permit its address: start it with
    DOSSIER_PERMITTED_NETWORKS=CLIENT=127.0.0.1/32. A client with a tool elsewhere is left alone; of another
    that is there already, credentials and webhook secrets are replaced, which it asks before.
    Example: dossier stand-in desk --tenant trial
    """
    output = Output(as_json=as_json)
    tool = ServiceDesk(_tickets(requests) if requests else (), authtoken=secrets.token_urlsafe(24))
    return asyncio.run(_serve(Instance.resolve(data_dir), tool, tenant, port=port, yes=yes, output=output))


def _tickets(file: Path) -> Sequence[NewRequest]:
    try:
        return new_requests(file)
    except ValueError as trouble:
        raise DossierError(
            f"{file} holds no tickets that can be read.",
            hint='Each line is one, such as {"subject": "VPN drops", "description": "Since 9:00."}.',
        ) from trouble


async def _serve(
    instance: Instance, tool: ServiceDesk, tenant: str, *, port: int, yes: bool, output: Output
) -> int:
    async with AsyncExitStack() as closers:
        try:
            base_url = await closers.enter_async_context(running(tool, port=port))
        except OSError as trouble:
            raise DossierError(
                f"Port {port} cannot be had: {trouble.strerror}.",
                hint="Choose another with --port; 0 is any that is free.",
            ) from trouble
        async with asking_tenants(instance) as tenants:
            connected = await _connect(tenants, tool, tenant, base_url=base_url, yes=yes, output=output)
        if connected is None:
            return NOT_AGREED
        url = webhook_url(instance, connected.tenant)
        tool.webhook = WebhookTarget(url=url, secret=connected.webhook_secret, tenant=tenant)
        stopped = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stopped.set)
        _tell(connected, base_url, url, output=output)
        await stopped.wait()
        return 0


async def _connect(
    tenants: "TenantServiceAsyncStub",
    tool: ServiceDesk,
    tenant: str,
    *,
    base_url: str,
    yes: bool,
    output: Output,
) -> _Connected | None:
    """None where a person did not agree."""
    credentials = {"authtoken": tool.authtoken}
    now = await _known(tenants, tenant)
    if now is None:
        wanted = Tenant(
            id=tenant, display_name=tenant, ticketing=TicketingConnection(tool=_TOOL, base_url=base_url)
        )
        made = await tenants.CreateTenant(
            pb.CreateTenantRequest(
                tenant=wanted,
                ticketing_credentials=credentials,
                request_id=str(uuid4()),
                skip_connection_test=True,
            )
        )
        return _Connected(made.tenant, made.webhook_secret, made.api_key)
    _require_free(now)
    told = (
        f"{tenant} is there already. Its credentials and webhook secrets are replaced: no other tool's count."
    )
    hint = "Say --yes to do it, or name a client that is not there yet."
    if not yes and not agreed(told, "Go on?", hint=hint, output=output):
        return None
    update = pb.UpdateTenantRequest(tenant_id=tenant, etag=now.etag)
    update.tenant.ticketing.base_url = base_url
    update.update_mask.paths.append("ticketing.base_url")
    changed = (await tenants.UpdateTenant(update)).tenant
    await tenants.SetTicketingCredentials(
        pb.SetTicketingCredentialsRequest(tenant_id=tenant, credentials=credentials)
    )
    rotation = pb.RotateWebhookSecretRequest(tenant_id=tenant, request_id=str(uuid4()))
    rotation.overlap.FromSeconds(0)
    return _Connected(changed, (await tenants.RotateWebhookSecret(rotation)).webhook_secret)


async def _known(tenants: "TenantServiceAsyncStub", tenant: str) -> Tenant | None:
    try:
        return (await tenants.GetTenant(pb.GetTenantRequest(tenant_id=tenant))).tenant
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return None
        raise


def _require_free(tenant: Tenant) -> None:
    """Nobody's real tool is put out of use."""
    tool, base_url = tenant.ticketing.tool, tenant.ticketing.base_url
    if tool != _TOOL or (base_url and urlsplit(base_url).hostname not in _HERE):
        raise DossierError(
            f"{tenant.id} has a ticketing tool: {tool} at {base_url or 'no address'}.",
            hint="Name another client with --tenant; one that is not there yet is made.",
        )


def _tell(connected: _Connected, base_url: str, url: str, *, output: Output) -> None:
    data: dict[str, Json] = {
        "tenant": connected.tenant.id,
        "base_url": base_url,
        "webhook_url": url,
        "requests_url": f"{base_url}/_standin/requests",
        "api_key": connected.api_key or None,
    }
    steps = (
        *(("The key is shown this once.",) if connected.api_key else ()),
        "Report an incident; the answer names the ticket's page, where its note appears:",
        f"  curl -d '{_INCIDENT}' {data['requests_url']}",
        "Ctrl-C stops it, and what it holds is gone.",
    )
    output.result(data, shown=Group(facts(data), *map(Text, steps)))
