"""Who may call what. This is the only place that says so."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.runtime.caller import Caller
from services.tenants.errors import RoleRequired


@dataclass(frozen=True, slots=True)
class Grant:
    """The roles that may call, and, where that matters, the one service that may."""

    roles: frozenset[str]
    subject: str | None = None


_LEADING: Final = frozenset({"ticketing", "ticketing.tool", "ticketing.base_url", "sources"})
_EVIDENCE: Final = frozenset({"retention", "retention.audit_days"})
_OPERATOR: Final = Grant(frozenset({"operator"}))
_ADMIN: Final = Grant(frozenset({"operator", "admin"}))
_ANYBODY: Final = Grant(frozenset({"operator", "service", "admin", "technician", "viewer"}))
_GATEWAY: Final = Grant(frozenset({"service"}), subject="gateway")
_ORCHESTRATOR: Final = Grant(frozenset({"service"}), subject="orchestrator")

GRANTS: Final[Mapping[str, Grant]] = MappingProxyType(
    {
        "CreateTenant": _OPERATOR,
        "GetTenant": _ANYBODY,
        "ListTenants": _OPERATOR,
        "ListWebhookSecrets": _GATEWAY,
        "GetTicketingAccess": _ORCHESTRATOR,
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
    }
)


def require_grant(rpc: str, caller: Caller) -> None:
    grant = GRANTS[rpc]
    if caller.role not in grant.roles:
        raise RoleRequired(
            f"the role {caller.role} may not call {rpc}",
            metadata={"role": caller.role, "required": ", ".join(sorted(grant.roles))},
        )
    if grant.subject is not None and caller.subject != grant.subject:
        raise RoleRequired(
            f"only {grant.subject} may call {rpc}",
            metadata={"subject": caller.subject, "required": grant.subject},
        )


def may_know(caller: Caller, tenant: str) -> bool:
    """Operators and services know every client unless they act for one; all others know only their own."""
    if caller.role in {"operator", "service"} and caller.tenant is None:
        return True
    return caller.tenant == tenant


def require_may_set(caller: Caller, paths: Collection[str]) -> None:
    """Some settings are the provider's to say.

    Where tool and sources are: the tool's credentials go there. How long the audit log is kept: who is in it
    does not say when it goes.
    """
    if caller.role != "operator" and not _LEADING.isdisjoint(paths):
        raise RoleRequired(
            "where the ticketing tool and the sources are is changed by operators",
            metadata={"role": caller.role, "required": "operator"},
        )
    if caller.role != "operator" and not _EVIDENCE.isdisjoint(paths):
        raise RoleRequired(
            "how long the audit log is kept is changed by operators; name the other fields of retention",
            metadata={"role": caller.role, "required": "operator"},
        )
