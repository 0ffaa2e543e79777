"""Follows how clients are searched."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

import grpc
import structlog
from opentelemetry import trace

from audit.settings import AuditedSettings
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.retrieval_pb2 import RankingSettings, RetrievalSettings
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from retrieval.relevance import Ranking
from services.runtime.caller import acting_for
from services.runtime.channels import open_channel
from services.runtime.tokens import TokenSigner

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub

_EVERY_SECONDS: Final = 1.5
"""So that a change is effective within two."""
# A look every second and a half would drown what traces are for.
_UNTRACED: Final = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))

_log = structlog.get_logger(__name__)


class Rankings:
    """While the tenants service is away, what was known last counts; before it answers, what is usual."""

    def __init__(
        self,
        service: str,
        stub: "TenantServiceAsyncStub",
        *,
        usual: Ranking,
        part: Callable[[RetrievalSettings], RankingSettings],
        seconds: float,
    ) -> None:
        self._service = service
        self._stub = stub
        self._usual = usual
        self._part = part
        self._seconds = seconds
        self._own: Mapping[str, Ranking] = {}
        self._known = True

    @classmethod
    def open(
        cls,
        service: str,
        settings: AuditedSettings,
        closers: AsyncExitStack,
        *,
        usual: Ranking,
        part: Callable[[RetrievalSettings], RankingSettings],
    ) -> Self:
        """`part` is the service's own of a client's settings."""
        channel = open_channel(
            settings.tenants_target,
            audience="tenants",
            services=[pb.DESCRIPTOR.services_by_name["TenantService"]],
            signer=TokenSigner(settings.token_signing_key_file),
            subject=service,
            tls=settings.tls,
        )
        closers.push_async_callback(channel.close)
        stub = TenantServiceStub(channel)
        return cls(service, stub, usual=usual, part=part, seconds=settings.tenants_seconds)

    def of(self, tenant: str) -> Ranking:
        return self._own.get(tenant, self._usual)

    async def follow(self) -> None:
        """Keep the copy as the settings are, until cancelled."""
        while True:
            try:
                self._own = await self._settings()
            except grpc.aio.AioRpcError as failure:
                self._say(known=False, why=failure.code().name)
            else:
                self._say(known=True)
            await asyncio.sleep(_EVERY_SECONDS)

    async def _settings(self) -> Mapping[str, Ranking]:
        own: dict[str, Ranking] = {}
        request = pb.ListRetrievalSettingsRequest()
        with trace.use_span(_UNTRACED), acting_for(None, subject=self._service):
            while True:
                page = await self._stub.ListRetrievalSettings(request, timeout=self._seconds)
                own |= {each.tenant_id: self._ranking(each.retrieval) for each in page.tenants}
                if not page.next_page_token:
                    return own
                request = pb.ListRetrievalSettingsRequest(page_token=page.next_page_token)

    def _ranking(self, settings: RetrievalSettings) -> Ranking:
        part = self._part(settings)
        return Ranking(
            part.meaning_share if part.HasField("meaning_share") else self._usual.meaning_share,
            part.floor if part.HasField("floor") else self._usual.floor,
        )

    def _say(self, *, known: bool, why: str = "") -> None:
        """One line when the settings are no longer known, one when they are again."""
        if known != self._known:
            if known:
                _log.info("retrieval_settings_known")
            else:
                _log.warning("retrieval_settings_unknown", why=why)
        self._known = known
