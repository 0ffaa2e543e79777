"""A copy of what clients have set, as the tenants service lists it, renewed all the time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import grpc
import structlog
from opentelemetry import trace

from audit.settings import AuditedSettings
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.tokens import TokenSigner

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

Setting = TypeVar("Setting")

_EVERY_SECONDS: Final = 1.5
"""So that a change is effective within two."""
# A look every second and a half would drown what traces are for.
_UNTRACED: Final = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))

_log = structlog.get_logger(__name__)


def open_tenants(
    service: str, settings: AuditedSettings, closers: AsyncExitStack
) -> "TenantServiceAsyncStub":
    channel = open_channel(
        settings.tenants_target,
        audience="tenants",
        services=[pb.DESCRIPTOR.services_by_name["TenantService"]],
        signer=TokenSigner(settings.token_signing_key_file),
        subject=service,
        tls=settings.tls,
    )
    closers.push_async_callback(channel.close)
    return TenantServiceStub(channel)


class Copy(Generic[Setting]):
    """By tenant. While the tenants service is away, what was known last counts; at first, nothing is set.

    `service` is who asks; `what` names in logs what is set.
    """

    def __init__(
        self, list_all: Callable[[], Awaitable[Mapping[str, Setting]]], *, service: str, what: str
    ) -> None:
        self._list_all = list_all
        self._service = service
        self._what = what
        self._known = True
        self.is_made = False
        """Whether the tenants service has answered yet."""
        self.by_tenant: Mapping[str, Setting] = {}

    async def follow(self) -> None:
        """Keep the copy as the settings are, until cancelled."""
        while True:
            try:
                with trace.use_span(_UNTRACED), acting_for(None, subject=self._service):
                    self.by_tenant = await self._list_all()
            except grpc.aio.AioRpcError as failure:
                self._say(known=False, why=failure.code().name)
            else:
                self.is_made = True
                self._say(known=True)
            await asyncio.sleep(_EVERY_SECONDS)

    def _say(self, *, known: bool, why: str = "") -> None:
        """One line when the settings are no longer known, one when they are again."""
        if known != self._known:
            if known:
                _log.info(f"{self._what}_known")
            else:
                _log.warning(f"{self._what}_unknown", why=why)
        self._known = known
