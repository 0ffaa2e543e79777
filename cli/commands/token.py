"""`token`: a token for grpcurl and buf curl, or for the REST API."""

import asyncio
import getpass
import os
from typing import Annotated

import typer

from cli.errors import DossierError, UsageError
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.ports import WORKLOADS
from cli.tenancy import TENANT_VARIABLE, complete_tenant, require_known
from services.runtime.caller import ROLES
from services.runtime.tokens import TokenSigner


def token(
    *,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            "-t",
            help=f"The client it is for; else {TENANT_VARIABLE}, else none.",
            autocompletion=complete_tenant,
        ),
    ] = None,
    no_tenant: Annotated[
        bool, typer.Option("--no-tenant", help=f"For no client, whatever {TENANT_VARIABLE} says.")
    ] = False,
    audience: Annotated[
        str, typer.Option(help="The service that accepts it; gateway for REST.")
    ] = "orchestrator",
    role: Annotated[str, typer.Option(help="What its bearer may do.")] = "operator",
    ttl_seconds: Annotated[int, typer.Option(min=1, max=86400, help="How long it lives.")] = 3600,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mint a short-lived token for one service, signed with the instance's key.

    While the instance runs, the client has to be one of its own.
    Example: dossier token --tenant acme --audience gateway --role viewer
    """
    _one_of("audience", audience, WORKLOADS)
    _one_of("role", role, sorted(ROLES))
    instance = Instance.resolve(data_dir)
    if not instance.signing_key.exists():
        raise DossierError(
            f"{instance.home} has no signing key yet.", hint="`dossier up` makes one when it starts."
        )
    if tenant and no_tenant:
        raise UsageError("--tenant and --no-tenant exclude each other.", hint="Give one of them.")
    tenant = None if no_tenant else tenant or os.environ.get(TENANT_VARIABLE) or None
    if tenant is not None and instance.running() is not None:
        asyncio.run(require_known(instance, tenant))
    minted = TokenSigner(instance.signing_key).mint(
        audience=audience, tenant=tenant, subject=getpass.getuser(), role=role, ttl_seconds=ttl_seconds
    )
    Output(as_json=as_json).result(
        {"token": minted, "audience": audience, "tenant": tenant, "role": role, "ttl_seconds": ttl_seconds}
    )
    if not as_json:
        typer.echo(minted)  # bare and unwrapped: it is for a shell variable


def _one_of(option: str, value: str, known: list[str] | tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"--{option}: {value!r} is no {option}.", hint=f"One of: {', '.join(known)}.")
