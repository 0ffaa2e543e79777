"""`GET /v1/usage`: what synthesis counts, held against the budget that the client has now."""

from typing import Final

from google.protobuf.message import Message

from dossier.synthesis.v1 import synthesis_service_pb2
from dossier.synthesis.v1.budget_pb2 import BudgetPeriodUsage
from dossier.tenants.v1.tenant_pb2 import Budget
from dossier.tenants.v1.tenant_service_pb2 import GetTenantRequest
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from gateway.errors import ServiceFailed
from gateway.mesh import Mesh, asked
from gateway.transcode.bindings import Binding
from gateway.transcode.routes import Admits, RestLimits, RpcRoute
from services.runtime.caller import Caller

GET_USAGE: Final = "dossier.synthesis.v1.SynthesisService.GetUsage"


class UsageRoute(RpcRoute):
    def __init__(self, binding: Binding, mesh: Mesh, callers: Admits, limits: RestLimits) -> None:
        super().__init__(binding, mesh, callers, limits, is_row=False)
        self._tenants = TenantServiceStub(mesh.channels["tenants"])

    async def _answer(self, request: Message, caller: Caller) -> Message:
        answer = await super()._answer(request, caller)
        if caller.tenant is None or not isinstance(answer, synthesis_service_pb2.GetUsageResponse):
            return answer
        asking = GetTenantRequest(tenant_id=caller.tenant)
        try:
            tenant = (
                await asked("tenants", self._tenants.GetTenant(asking, timeout=self._limits.seconds))
            ).tenant
        except ServiceFailed:
            # While it is away, the limit that the last call was held to is the best that is known.
            return answer
        hold_against(tenant.budget, answer)
        return answer


def hold_against(budget: Budget, usage: synthesis_service_pb2.GetUsageResponse) -> None:
    month = budget.month_micro_dollars if budget.HasField("month_micro_dollars") else None
    day = budget.day_micro_dollars if budget.HasField("day_micro_dollars") else None
    for period, limit in ((usage.budget.month, month), (usage.budget.day, day)):
        _limit(period, limit)


def _limit(period: BudgetPeriodUsage, limit: int | None) -> None:
    if limit is None:
        period.ClearField("limit_micro_dollars")
        period.ClearField("left_micro_dollars")
        return
    used = period.spent_micro_dollars + period.reserved_micro_dollars + period.unconfirmed_micro_dollars
    period.limit_micro_dollars = limit
    period.left_micro_dollars = max(0, limit - used)
