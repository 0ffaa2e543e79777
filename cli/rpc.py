"""Calls from the command to a running instance's services."""

import getpass
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from cli.certificates import command_tls
from cli.errors import DossierError
from cli.instance import Instance
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.errors import error_info
from services.runtime.tokens import TokenSigner

_HINTS = {
    grpc.StatusCode.UNAVAILABLE: "`dossier status` shows what runs; `dossier up` starts what has stopped.",
    grpc.StatusCode.DEADLINE_EXCEEDED: "`dossier status` shows what is not ready, and why.",
    grpc.StatusCode.NOT_FOUND: "Check the name; the list verbs show what there is.",
    grpc.StatusCode.INVALID_ARGUMENT: "Mend what is named and try again; --help says what is expected.",
    grpc.StatusCode.ALREADY_EXISTS: "Choose another name, or use the one that exists.",
    grpc.StatusCode.ABORTED: "Somebody was faster: look at it again, then repeat the command.",
    grpc.StatusCode.FAILED_PRECONDITION: "Do first what the message asks for.",
    grpc.StatusCode.PERMISSION_DENIED: "This takes another role or another tenant.",
    grpc.StatusCode.UNAUTHENTICATED: "Are the keys this instance's own? `dossier status` shows its folder.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Wait a moment and try again.",
    grpc.StatusCode.INTERNAL: "The service's log has the cause, under the request id above.",
}

# Where the next step is better known than the code tells.
_HINTS_BY_REASON = {
    "ENHANCEMENT_ENDED": "`dossier enhancements show ID` tells how it ended; `replay ID` writes it again.",
    "ENHANCEMENT_NOT_REPLAYABLE": "`dossier enhancements show ID` tells how far it came; `retry ID` goes on.",
}


@asynccontextmanager
async def calling(
    instance: Instance,
    service: str,
    *,
    descriptors: Sequence[ServiceDescriptor],
    tenant: str | None,
    role: str = "operator",
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to one service of a running instance, as this user, for `tenant`.

    A refused call inside the block becomes the command's own error.
    """
    record = instance.require_running()
    user = getpass.getuser()
    async with open_channel(
        f"localhost:{record.ports.serving(service)}",
        audience=service,
        services=descriptors,
        signer=TokenSigner(instance.signing_key),
        subject=user,
        tls=command_tls(instance, record),
    ) as channel:
        with acting_for(tenant, subject=user, role=role):
            try:
                yield channel
            except grpc.aio.AioRpcError as refused:
                raise _told(refused, service) from refused


def _told(refused: grpc.aio.AioRpcError, service: str) -> DossierError:
    info = error_info(refused)
    reason = info.reason if info is not None else ""
    told = f"{service}: {refused.details()}" + (f" ({reason})" if reason else "")
    hint = _HINTS_BY_REASON.get(reason) or _HINTS.get(refused.code(), "")
    return DossierError(told, hint=hint, reason=reason)
