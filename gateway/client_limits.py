"""The limits that a client has of its own, in place of those that the gateways are set to.

They come with what is asked about a client's keys and webhook secrets anyway. Only for tokens, and for
operators that act for a client, they are asked for, and believed for as long.
"""

from typing import Final

import grpc
from grpc import StatusCode

from dossier.tenants.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from dossier.tenants.v1.tenant_pb2 import TenantLimits
from gateway.cache import BriefCache
from gateway.errors import ServiceFailed
from gateway.mesh import SUBJECT, asked
from services.runtime.caller import acting_for

_SECONDS: Final = 1.0
_NONE_OF_ITS_OWN: Final = TenantLimits()


class ClientLimits:
    def __init__(self, tenants: grpc.aio.Channel, *, seconds: float) -> None:
        self._stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        self._known: BriefCache[str, TenantLimits | None] = BriefCache(
            self._ask, known=lambda limits: limits is not None, seconds=seconds
        )

    def learn(self, tenant: str, limits: TenantLimits) -> None:
        self._known.put(tenant, limits)

    async def of(self, tenant: str) -> TenantLimits:
        return await self._known.get(tenant) or _NONE_OF_ITS_OWN

    def forget(self, tenant: str | None) -> None:
        self._known.forget(lambda key, _: tenant in {None, key})

    async def _ask(self, tenant: str) -> TenantLimits | None:
        request = tenant_service_pb2.GetTenantRequest(tenant_id=tenant)
        try:
            with acting_for(None, subject=SUBJECT):
                answer = await asked("tenants", self._stub.GetTenant(request, timeout=_SECONDS))
        except ServiceFailed as error:
            # A limit is no reason to refuse anybody while nobody can say what it is.
            return None if error.code is StatusCode.NOT_FOUND else self._known.last(tenant)
        return answer.tenant.limits
