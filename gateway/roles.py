"""Which role may call what over REST: one table. The services check again what only they can know."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.descriptor import MethodDescriptor
from grpc import StatusCode

from services.runtime.caller import Caller
from services.runtime.errors import ServiceError

# Each may do what those before it may. A service's token comes from `dossier token`, an operator's tool.
_RANK: Final[Mapping[str, int]] = MappingProxyType(
    {"viewer": 0, "technician": 1, "admin": 2, "operator": 3, "service": 3}
)

OF_STAFF: Final = frozenset({"operator", "technician", "viewer"})
"""What the provider's own people and programs may be, for all clients. Who changes each client's settings,
secrets and keys may as well take clients on, so there is no administrator of all of them."""
OF_CLIENTS: Final = frozenset({"admin", "technician", "viewer"})
"""What somebody may be for one client."""

READS: Final = "viewer"
WRITES: Final = "admin"
"""What an RPC that the table does not name needs, by its HTTP method."""

REQUIRED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dossier.orchestrator.v1.OrchestratorService.CreateEnhancement": "technician",
        "dossier.orchestrator.v1.OrchestratorService.SubmitFeedback": "technician",
        "dossier.orchestrator.v1.OrchestratorService.CancelEnhancement": "technician",
        "dossier.orchestrator.v1.OrchestratorService.RetryEnhancement": "technician",
        "dossier.orchestrator.v1.OrchestratorService.RetryFailedEnhancements": "technician",
        "dossier.orchestrator.v1.OrchestratorService.ReplayEnhancement": "technician",
        # A client's share is taken from the others', so no client changes its own.
        "dossier.orchestrator.v1.OrchestratorService.UpdateQueue": "operator",
        "dossier.orchestrator.v1.OrchestratorService.PauseQueue": "operator",
        "dossier.orchestrator.v1.OrchestratorService.ResumeQueue": "operator",
        "dossier.history.v1.HistoryService.SearchSimilarTickets": "technician",
        "dossier.knowledge.v1.KnowledgeService.SearchArticles": "technician",
        "dossier.network.v1.NetworkService.LookupMentions": "technician",
        "dossier.tenants.v1.TenantService.CreateTenant": "operator",
        "dossier.tenants.v1.TenantService.ReencryptSecrets": "operator",
        "dossier.tenants.v1.TenantService.SuspendTenant": "operator",
        "dossier.tenants.v1.TenantService.CreateOperatorKey": "operator",
        "dossier.tenants.v1.TenantService.ListOperatorKeys": "operator",
        "dossier.tenants.v1.TenantService.RevokeOperatorKey": "operator",
        "dossier.tenants.v1.TenantService.ListOperatorAuditEvents": "operator",
        "dossier.tenants.v1.TenantService.VerifyOperatorAuditLog": "operator",
        "dossier.tenants.v1.TenantService.ResumeTenant": "operator",
        "dossier.tenants.v1.TenantService.DeleteTenant": "operator",
        "dossier.tenants.v1.TenantService.GetTenantDeletion": "operator",
        "dossier.tenants.v1.TenantService.ListTenantDeletions": "operator",
        # Reads, but of what only those who may change it need to know.
        "dossier.tenants.v1.TenantService.ListApiKeys": "admin",
        "dossier.tenants.v1.TenantService.ListAuditEvents": "admin",
        "dossier.tenants.v1.TenantService.VerifyAuditLog": "admin",
        "dossier.tenants.v1.TenantService.ListWebhookSecretVersions": "admin",
    }
)


class RoleRequired(ServiceError):
    code = StatusCode.PERMISSION_DENIED
    reason = "ROLE_REQUIRED"


def role_for(method: MethodDescriptor, *, http_method: str) -> str:
    return REQUIRED.get(method.full_name, READS if http_method == "GET" else WRITES)


def highest(roles: Iterable[str]) -> str:
    return max(roles, key=_RANK.__getitem__)


def require(role: str, caller: Caller) -> None:
    if _RANK[caller.role] < _RANK[role]:
        raise RoleRequired(
            f"this takes the role {role}; yours is {caller.role}",
            metadata={"required": role, "role": caller.role},
        )
