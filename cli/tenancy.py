"""Which client a verb is about: the option, then DOSSIER_TENANT, then the only one there is."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import grpc
import typer

from cli.errors import DossierError
from cli.instance import Instance
from cli.rpc import calling
from dossier.tenants.v1.tenant_service_pb2 import DESCRIPTOR, GetTenantRequest, ListTenantsRequest
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub

TENANT_VARIABLE = "DOSSIER_TENANT"
TENANT_SERVICE = [DESCRIPTOR.services_by_name["TenantService"]]

_COMPLETION_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_SHOWN = 20


async def tenant_or_only(instance: Instance, given: str | None) -> str:
    named = given or os.environ.get(TENANT_VARIABLE)
    if named:
        await _require_known(instance, named)
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


async def _require_known(instance: Instance, named: str) -> None:
    """A mistyped name must not be paused, or filled with somebody's inventory."""
    async with calling(instance, "tenants", descriptors=TENANT_SERVICE, tenant=None) as channel:
        try:
            await TenantServiceStub(channel).GetTenant(
                GetTenantRequest(tenant_id=named), timeout=_LOOK_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            # Only a no ends it here: what is asked of others must not fail because tenants is away.
            if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}:
                raise DossierError(
                    f"There is no client {named}.", hint="`dossier tenant list` shows those there are."
                ) from error


async def tenant_ids(instance: Instance, *, limit: int) -> list[str]:
    async with calling(instance, "tenants", descriptors=TENANT_SERVICE, tenant=None) as channel:
        page = await TenantServiceStub(channel).ListTenants(ListTenantsRequest(page_size=limit))
    return [tenant.id for tenant in page.tenants]


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


TenantOption = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        "-t",
        help=f"The client; else {TENANT_VARIABLE}, else the only one there is.",
        autocompletion=complete_tenant,
    ),
]
