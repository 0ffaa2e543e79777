"""`token`: a token for grpcurl and buf curl, or for the REST API."""

import getpass
from typing import Annotated

import typer

from cli.errors import DossierError
from cli.instance import Instance
from cli.options import DataDirOption
from cli.output import JsonOption, Output
from cli.ports import WORKLOADS
from services.runtime.caller import ROLES
from services.runtime.tokens import TokenSigner


def token(
    *,
    tenant: Annotated[
        str | None, typer.Option(help="The client it is for; none makes a token without one.")
    ] = None,
    audience: Annotated[
        str, typer.Option(help="The service that accepts it; gateway for REST.")
    ] = "orchestrator",
    role: Annotated[str, typer.Option(help="What its bearer may do.")] = "operator",
    ttl_seconds: Annotated[int, typer.Option(min=1, max=86400, help="How long it lives.")] = 3600,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mint a short-lived token for one service, signed with the instance's key."""
    _one_of("audience", audience, WORKLOADS)
    _one_of("role", role, sorted(ROLES))
    instance = Instance.resolve(data_dir)
    if not instance.signing_key.exists():
        raise DossierError(
            f"{instance.home} has no signing key yet.", hint="`dossier up` makes one when it starts."
        )
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
        raise DossierError(f"{value!r} is no {option}.", hint=f"One of: {', '.join(known)}.")
