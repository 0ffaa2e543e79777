"""Who calls the REST API, and as what for which client."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.roles import highest
from services.runtime.caller import Caller
from services.runtime.errors import PermissionDenied, TenantRequired


class TenantForeign(PermissionDenied):
    """The credentials are good, and for other clients."""

    reason = "TENANT_FOREIGN"


@dataclass(frozen=True, slots=True)
class Identity:
    subject: str
    """Of the key, the token or the person: what limits are counted for."""
    roles: Mapping[str | None, str]
    """By client; None is every client that there is."""
    on_behalf_of: str = ""
    """How audit logs name them, where that is not by the subject."""
    vouched: str | None = None
    """The client that need not be asked about: who made the credentials knows it."""

    @classmethod
    def of(cls, caller: Caller, *, vouched: bool) -> "Identity":
        """Of credentials for one client, or for none; `vouched` where that was asked of who knows."""
        roles = {caller.tenant: caller.role}
        return cls(caller.subject, roles, caller.on_behalf_of, caller.tenant if vouched else None)

    @property
    def tenant(self) -> str | None:
        """The client, where there is only one."""
        return next(iter(self.roles)) if len(self.roles) == 1 else None

    @property
    def of_staff(self) -> bool:
        return None in self.roles

    @property
    def knows_all(self) -> bool:
        """Whether they may ask about any client without acting for it."""
        return self.roles.get(None) in {"operator", "service"}

    def acting_for(self, wanted: str | None) -> Caller:
        """For the client that is wanted: in the highest of the roles that count there."""
        tenant = self.tenant if wanted is None else wanted
        if tenant is None and not self.of_staff:
            raise TenantRequired(
                "these credentials are for several clients; name one in the header X-Dossier-Tenant",
                metadata={"tenants": ", ".join(sorted(filter(None, self.roles)))},
            )
        roles = [self.roles[each] for each in {tenant, None} if each in self.roles]
        if not roles:
            raise TenantForeign("the credentials are for another client", metadata={"tenant": tenant or ""})
        return Caller(
            subject=self.subject, tenant=tenant, role=highest(roles), on_behalf_of=self.on_behalf_of
        )
