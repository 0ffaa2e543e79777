"""How the services are, as the gateway sees them: asked over the channels that the work goes over."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import grpc
from grpc_health.v1 import health_pb2

from dossier.orchestrator.v1.orchestrator_service_pb2 import ListEnhancementsRequest
from dossier.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from dossier.tenants.v1.tenant_service_pb2 import ListWebhookSecretsRequest
from dossier.tenants.v1.tenant_service_pb2_grpc import TenantServiceStub
from gateway.errors import ServiceFailed, problem_of
from gateway.mesh import CONTRACTS, SUBJECT, Mesh, asked
from gateway.webhook_secrets import NOBODY
from services.runtime.caller import acting_for

_SECONDS: Final = 0.8
_CHECK: Final[Any] = health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name["Check"]
_SERVING: Final = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

State = Literal["serving", "not_serving", "unreachable"]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    state: State
    required: bool
    reason: str = ""

    def as_json(self) -> dict[str, object]:
        return {"state": self.state, "required": self.required, "reason": self.reason}


class ServiceNotReady(Exception):
    """A service without which no webhook can be taken."""


class MeshHealth:
    """Keeps the last known state of every service; `checks` are asked again by the kernel's readiness."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._why = _reasons(mesh)
        self.services: Mapping[str, ServiceHealth] = {
            name: ServiceHealth("unreachable", required=name in self._why, reason="not asked yet")
            for name in CONTRACTS
        }
        self.checks: Mapping[str, Callable[[], Awaitable[None]]] = {
            name: self._check_of(name) for name in CONTRACTS
        }

    def _check_of(self, name: str) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            health = await self._look(name)
            self.services = {**self.services, name: health}
            if health.required and health.state != "serving":
                raise ServiceNotReady(health.reason)

        return check

    async def _look(self, name: str) -> ServiceHealth:
        ask = self._mesh.unary(name, _CHECK)
        request = health_pb2.HealthCheckRequest(service=CONTRACTS[name].full_name)
        required = name in self._why
        try:
            answer = await ask(request, _SECONDS)
        except ServiceFailed as error:
            return ServiceHealth("unreachable", required, problem_of(error, "").message)
        if answer == _SERVING:
            return ServiceHealth("serving", required)
        reason = await _reason(name, self._why[name]) if required else "is not serving"
        return ServiceHealth("not_serving", required, reason)


async def _reason(name: str, ask: Callable[[], Awaitable[object]]) -> str:
    """Health says no and no more; a small piece of the service's real work says why."""
    try:
        with acting_for(NOBODY, subject=SUBJECT):
            await asked(name, ask())
    except ServiceFailed as error:
        return problem_of(error, "").message
    return "is not serving"


def _reasons(mesh: Mesh) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """What to ask the services that webhooks need."""
    tenants: grpc.aio.Channel = mesh.channels["tenants"]
    secrets = ListWebhookSecretsRequest(tenant_id=NOBODY, tool=NOBODY)
    enhancements = ListEnhancementsRequest(page_size=1)
    return {
        "tenants": lambda: TenantServiceStub(tenants).ListWebhookSecrets(secrets, timeout=_SECONDS),
        "orchestrator": lambda: OrchestratorServiceStub(mesh.channels["orchestrator"]).ListEnhancements(
            enhancements, timeout=_SECONDS
        ),
    }
