"""`tenant rotate-secret`: a new webhook secret, and which of those before go on to count."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.panel import Panel

from cli.asking import NOT_AGREED, agreed
from cli.instance import Instance
from cli.options import DataDirOption, YesOption
from cli.output import Json, JsonOption, Output
from cli.show.tenants import shown_once
from cli.tenancy import TenantArgument, asking_tenants
from cli.words import iso, moment
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.webhook_secret_version_pb2 import WebhookSecretVersion

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub


def rotate_webhook_secret(
    *,
    tenant_id: TenantArgument,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the secret before goes on to count.")
    ] = 24,
    yes: YesOption = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a new webhook secret, shown this once. It and the one before count until the overlap is over.

    No more than two count: where a rotation is still under way, another ends the older secret at once, and
    asks before. With --overlap-hours 0 only the new one counts, for a secret that leaked.

    Example: dossier tenant rotate-secret acme --overlap-hours 48
    """
    output = Output(as_json=as_json)
    request = pb.RotateWebhookSecretRequest(tenant_id=tenant_id, request_id=str(uuid4()))
    request.overlap.FromMilliseconds(round(overlap_hours * 3_600_000))
    rotated = asyncio.run(_rotated(Instance.resolve(data_dir), request, asks=not yes, output=output))
    if rotated is None:
        return NOT_AGREED
    until = iso(rotated.previous_expire_time)
    ended = list(rotated.ended_secret_ids)
    data: dict[str, Json] = {
        "tenant": tenant_id,
        "webhook_secret": rotated.webhook_secret,
        "secret_id": rotated.secret_id,
        "previous_expires": until,
        "ended": ended,
    }
    remarks = ["Shown this once: give it to the ticketing tool."]
    if until:
        remarks.append(
            f"The one before counts until {until}; whether the tool still uses it shows"
            f" `dossier tenant secrets list {tenant_id}`."
        )
    if ended:
        number = "1 secret counts" if len(ended) == 1 else f"{len(ended)} secrets count"
        remarks.append(f"{number} no more: {', '.join(ended)}.")
    secrets = shown_once({"webhook_secret": rotated.webhook_secret}, " ".join(remarks))
    panel = Panel(secrets, title=f"Client {tenant_id}'s new webhook secret", title_align="left")
    output.result(data, shown=panel)
    return 0


async def _rotated(
    instance: Instance, request: pb.RotateWebhookSecretRequest, *, asks: bool, output: Output
) -> pb.RotateWebhookSecretResponse | None:
    async with asking_tenants(instance) as tenants:
        ending = await _replaced(tenants, request.tenant_id) if asks else []
        if ending and not agreed(
            f"{_told(ending)} {_consequence(request)}",
            "Rotate again?",
            hint=f"Say --yes to go on; `dossier tenant secrets list {request.tenant_id}` shows its use.",
            output=output,
        ):
            output.console.print("Nothing was rotated.")
            return None
        return await tenants.RotateWebhookSecret(request)


async def _replaced(tenants: "TenantServiceAsyncStub", tenant_id: str) -> Sequence[WebhookSecretVersion]:
    """Those that count only until a rotation is over."""
    request = pb.ListWebhookSecretVersionsRequest(tenant_id=tenant_id)
    versions = (await tenants.ListWebhookSecretVersions(request)).versions
    now = datetime.now(UTC)
    return [each for each in versions if (expires := moment(each.expire_time)) is not None and expires > now]


def _told(ending: Sequence[WebhookSecretVersion]) -> str:
    [last] = ending[:1]
    used = iso(last.last_used_time)
    use = f"the tool last used it at {used}" if used else "the tool has not been seen to use it"
    return f"The secret {last.id} counts until {iso(last.expire_time)}, for a rotation is under way; {use}."


def _consequence(request: pb.RotateWebhookSecretRequest) -> str:
    if request.overlap.ToNanoseconds():
        return "The new secret ends it at once: webhooks signed with it will be refused."
    return (
        "The new secret ends both it and the current one at once: webhooks signed with either will be"
        " refused."
    )
