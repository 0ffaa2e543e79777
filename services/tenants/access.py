"""Who may call what. This is the only place that says so."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.runtime.caller import Caller
from services.tenants.errors import RoleRequired, TenantConfined, TenantNotFound
from services.tenants.model import TenantId, tenant_id


@dataclass(frozen=True, slots=True)
class Grant:
    """The roles that may call, and, where that matters, the services that may."""

    roles: frozenset[str]
    subjects: frozenset[str] | None = None


_WHERE: Final = "where the ticketing tool, the sources and the knowledge bases are"
_PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The tool's credentials and the tickets go there.
        "ticketing.tool": _WHERE,
        "ticketing.base_url": _WHERE,
        "sources": _WHERE,
        "knowledge_bases": _WHERE,
        # Who is in the log does not say when it goes.
        "retention.audit_days": "how long the audit log is kept",
        "limits": "what a client's limits are",
        # Taken from the others'.
        "queue": "a client's share of the queue",
        "budget": "what a client may spend on language models",
    }
)
_OPERATOR: Final = Grant(frozenset({"operator"}))
_ADMIN: Final = Grant(frozenset({"operator", "admin"}))
_ANYBODY: Final = Grant(frozenset({"operator", "service", "admin", "technician", "viewer"}))
_PEOPLE: Final = Grant(frozenset({"operator", "admin", "technician", "viewer"}))
_GATEWAY: Final = Grant(frozenset({"service"}), subjects=frozenset({"gateway"}))
_ORCHESTRATOR: Final = Grant(frozenset({"service"}), subjects=frozenset({"orchestrator"}))
_SEARCHERS: Final = Grant(frozenset({"service"}), subjects=frozenset({"history", "knowledge"}))
_KNOWLEDGE: Final = Grant(frozenset({"service"}), subjects=frozenset({"knowledge"}))
_RECORDERS: Final = Grant(
    frozenset({"service"}), subjects=frozenset({"orchestrator", "history", "knowledge", "network"})
)

GRANTS: Final[Mapping[str, Grant]] = MappingProxyType(
    {
        "CreateTenant": _OPERATOR,
        "GetTenant": _ANYBODY,
        "ListTenants": _PEOPLE,
        "ListWebhookSecrets": _GATEWAY,
        "GetTicketingAccess": _ORCHESTRATOR,
        "ListQueueShares": _ORCHESTRATOR,
        "ListRetrievalSettings": _SEARCHERS,
        "RecordRetrievalEvaluation": _ADMIN,
        "ListRetrievalEvaluations": _ANYBODY,
        "AuthenticateApiKey": _GATEWAY,
        "UpdateTenant": _ADMIN,
        "SuspendTenant": _OPERATOR,
        "ResumeTenant": _OPERATOR,
        "RotateWebhookSecret": _ADMIN,
        "ReencryptSecrets": _OPERATOR,
        "SetTicketingCredentials": _ADMIN,
        "CreateApiKey": _ADMIN,
        "ListApiKeys": _ADMIN,
        "RevokeApiKey": _ADMIN,
        "ListAuditEvents": _ADMIN,
        "VerifyAuditLog": _ADMIN,
        "DeleteTenant": _OPERATOR,
        "GetTenantDeletion": _OPERATOR,
        "ListTenantDeletions": _OPERATOR,
        "ExportTenant": _ADMIN,
        "TestConnection": _ADMIN,
        "ListWebhookSecretVersions": _ADMIN,
        "RecordWebhookSecretUses": _GATEWAY,
        "CreateOperatorKey": _OPERATOR,
        "ListOperatorKeys": _OPERATOR,
        "RevokeOperatorKey": _OPERATOR,
        "ListOperatorAuditEvents": _OPERATOR,
        "VerifyOperatorAuditLog": _OPERATOR,
        "RecordAuditEvents": _RECORDERS,
        "SetKnowledgeBaseCredentials": _ADMIN,
        "GetKnowledgeBaseAccess": _KNOWLEDGE,
        "ListKnowledgeBases": _KNOWLEDGE,
    }
)


def require_grant(rpc: str, caller: Caller) -> None:
    grant = GRANTS[rpc]
    if caller.role not in grant.roles:
        raise RoleRequired(
            f"the role {caller.role} may not call {rpc}",
            metadata={"role": caller.role, "required": ", ".join(sorted(grant.roles))},
        )
    if grant.subjects is not None and caller.subject not in grant.subjects:
        required = ", ".join(sorted(grant.subjects))
        raise RoleRequired(
            f"only {required} may call {rpc}", metadata={"subject": caller.subject, "required": required}
        )


def require_unconfined(caller: Caller) -> None:
    """Who acts for one client must not get by it at a key for all of them."""
    if caller.tenant is not None:
        raise TenantConfined(caller.tenant)


def may_know(caller: Caller, tenant: str) -> bool:
    """Operators and services know every client unless they act for one; all others know only their own."""
    if caller.role in {"operator", "service"} and caller.tenant is None:
        return True
    return caller.tenant == tenant


def named(rpc: str, caller: Caller, tenant: str) -> TenantId:
    """Whom a request is about, once it is clear that the caller may call, and may know of it."""
    require_grant(rpc, caller)
    if not may_know(caller, tenant):
        raise TenantNotFound(tenant)
    return tenant_id(tenant)


def require_may_set(caller: Caller, paths: Collection[str]) -> None:
    """Some settings are the provider's to say, by themselves and within what they are part of."""
    if caller.role == "operator":
        return
    for path in paths:
        for setting, what in _PROVIDERS.items():
            if path == setting or path.startswith(f"{setting}.") or setting.startswith(f"{path}."):
                raise RoleRequired(
                    f"{what} is changed by operators; without {setting} the rest may be",
                    metadata={"role": caller.role, "required": "operator", "field": setting},
                )
