"""Whether there is a client, and whether it is served, as the tenants service said a moment ago."""

from typing import Final

import grpc
from grpc import StatusCode

from dossier.tenants.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from gateway.cache import BriefCache
from gateway.errors import ServiceFailed
from gateway.mesh import SUBJECT, asked
from services.runtime.caller import acting_for
from services.runtime.errors import PermissionDenied, ServiceError

_SECONDS: Final = 5.0


class TenantNotFound(ServiceError):
    code = StatusCode.NOT_FOUND
    reason = "TENANT_NOT_FOUND"


class TenantNotServed(PermissionDenied):
    """Suspended, or not there: somebody of the client's own is not told which."""

    reason = "TENANT_NOT_SERVED"


class Clients:
    def __init__(self, tenants: grpc.aio.Channel, *, seconds: float) -> None:
        self._stub = tenant_service_pb2_grpc.TenantServiceStub(tenants)
        self._states = BriefCache(self._ask, known=bool, seconds=seconds)

    async def require_known(self, tenant: str) -> None:
        """What is written for a name that nobody has would lie about."""
        if not await self._states.get(tenant):
            raise TenantNotFound(f"there is no client {tenant}", metadata={"tenant_id": tenant})

    async def require_served(self, tenant: str) -> None:
        if await self._states.get(tenant) != tenant_pb2.TENANT_STATE_ACTIVE:
            raise TenantNotServed(f"the client {tenant} is not served", metadata={"tenant_id": tenant})

    def forget(self, tenant: str | None) -> None:
        self._states.forget(lambda key, _: tenant in {None, key})

    async def _ask(self, tenant: str) -> "tenant_pb2.TenantState.ValueType":
        """Unspecified where there is none."""
        request = tenant_service_pb2.GetTenantRequest(tenant_id=tenant)
        try:
            with acting_for(None, subject=SUBJECT):
                answer = await asked("tenants", self._stub.GetTenant(request, timeout=_SECONDS))
        except ServiceFailed as error:
            if error.code in {StatusCode.NOT_FOUND, StatusCode.INVALID_ARGUMENT}:
                return tenant_pb2.TENANT_STATE_UNSPECIFIED
            # Nobody can be suspended either while it is away.
            last = self._states.last(tenant)
            if last is None:
                raise
            return last
        return answer.tenant.state
