"""Follows how clients are searched."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from audit.settings import AuditedSettings
from dossier.tenants.v1 import tenant_service_pb2 as pb
from dossier.tenants.v1.retrieval_pb2 import RankingSettings, RetrievalSettings
from retrieval.relevance import Ranking
from tuning.copies import Copy, open_tenants

if TYPE_CHECKING:
    from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceAsyncStub


class Rankings:
    def __init__(
        self,
        service: str,
        stub: "TenantServiceAsyncStub",
        *,
        usual: Ranking,
        part: Callable[[RetrievalSettings], RankingSettings],
        seconds: float,
    ) -> None:
        self._stub = stub
        self._usual = usual
        self._part = part
        self._seconds = seconds
        self._own = Copy(self._settings, service=service, what="retrieval_settings")
        self.follow = self._own.follow

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
        stub = open_tenants(service, settings, closers)
        return cls(service, stub, usual=usual, part=part, seconds=settings.tenants_seconds)

    def of(self, tenant: str) -> Ranking:
        return self._own.by_tenant.get(tenant, self._usual)

    async def _settings(self) -> Mapping[str, Ranking]:
        own: dict[str, Ranking] = {}
        request = pb.ListRetrievalSettingsRequest()
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
