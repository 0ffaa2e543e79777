"""Which client a verb is about: the option, then DOSSIER_TENANT, then the only one there is."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import grpc
import typer

from cli.errors import DossierError
from cli.instance import Instance
from cli.paging import pages
from cli.rpc import calling
from dossier.tenants.v1.tenant_pb2 import TENANT_STATE_DELETING, TENANT_STATE_SUSPENDED
from dossier.tenants.v1.tenant_service_pb2 import DESCRIPTOR, GetTenantRequest, ListTenantsRequest
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

TENANT_VARIABLE = "DOSSIER_TENANT"
TENANT_SERVICE = [DESCRIPTOR.services_by_name["TenantService"]]

_COMPLETION_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_NOT_SERVED = {
    TENANT_STATE_SUSPENDED: "{0} is suspended and not served; `dossier tenant resume {0}` serves it again.",
    TENANT_STATE_DELETING: "{0} is being deleted: what it had goes, or is gone.",
}
_SHOWN = 20
_PAGE = 1000


@asynccontextmanager
async def asking_tenants(instance: Instance) -> AsyncIterator["TenantServiceAsyncStub"]:
    """Call the tenants service, as an operator."""
    async with calling(instance, "tenants", descriptors=TENANT_SERVICE, tenant=None) as channel:
        yield TenantServiceStub(channel)


async def tenant_or_only(instance: Instance, given: str | None) -> str:
    named = given or os.environ.get(TENANT_VARIABLE)
    if named:
        await require_known(instance, named)
        return named
    known = await tenant_ids(instance, limit=_SHOWN + 1)
    match known:
        case [only]:
            return only
        case []:
            raise DossierError(
                "There is no client yet.", hint="`dossier tenant create ID --name …` makes one."
            )
        case _:
            names = ", ".join(known[:_SHOWN]) + (" …" if len(known) > _SHOWN else "")
            raise DossierError(
                "There is more than one client.",
                hint=f"Say which with --tenant or {TENANT_VARIABLE}: {names}.",
            )


def also_for(given: str | None) -> str:
    """What a printed command needs where this one was told its client; the variable goes on to count."""
    return f" --tenant {given}" if given else ""


async def require_known(instance: Instance, named: str) -> None:
    """A mistyped name must not be paused, or filled with somebody's inventory."""
    async with asking_tenants(instance) as tenants:
        try:
            await tenants.GetTenant(GetTenantRequest(tenant_id=named), timeout=_LOOK_SECONDS)
        except grpc.aio.AioRpcError as error:
            # Only a no ends it here: what is asked of others must not fail because tenants is away.
            if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
                raise DossierError(
                    f"There is no client {named}.", hint="`dossier tenant list` shows those there are."
                ) from error


async def why_not_served(instance: Instance, named: str) -> str:
    """A sentence; empty where the client is served, or the tenants service does not say."""
    with suppress(DossierError):
        async with asking_tenants(instance) as tenants:
            request = GetTenantRequest(tenant_id=named)
            state = (await tenants.GetTenant(request, timeout=_LOOK_SECONDS)).tenant.state
        return _NOT_SERVED.get(state, "").format(named)
    return ""


async def tenant_ids(instance: Instance, *, limit: int) -> list[str]:
    async with asking_tenants(instance) as tenants:
        page = await tenants.ListTenants(ListTenantsRequest(page_size=limit))
    return [tenant.id for tenant in page.tenants]


async def all_tenant_ids(instance: Instance) -> list[str]:
    async with asking_tenants(instance) as tenants:
        answers = pages(tenants.ListTenants, ListTenantsRequest(page_size=_PAGE))
        return [tenant.id async for page in answers for tenant in page.tenants]


def instance_of(context: typer.Context) -> Instance:
    """Read the data directory from a command line that is being completed."""
    given: Path | None = context.params.get("data_dir")
    return Instance.resolve(given)


def complete_tenant(context: typer.Context, incomplete: str) -> list[str]:
    """Give what a shell may complete; whatever goes wrong, a shell wants no words about it."""
    with suppress(DossierError, OSError, TimeoutError):
        known = asyncio.run(
            asyncio.wait_for(tenant_ids(instance_of(context), limit=1000), _COMPLETION_SECONDS)
        )
        return [name for name in known if name.startswith(incomplete)]
    return []


TenantArgument = Annotated[str, typer.Argument(metavar="ID", autocompletion=complete_tenant)]

TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        "-t",
        help=f"The client; else {TENANT_VARIABLE}, else the only one there is.",
        autocompletion=complete_tenant,
    ),
]
