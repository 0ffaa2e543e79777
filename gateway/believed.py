"""What a gateway believes of clients for a moment, and forgets when they are said to have changed."""

from dataclasses import dataclass
from typing import Self

from gateway.authentication import Authenticator
from gateway.client_limits import ClientLimits
from gateway.clients import Clients
from gateway.mesh import Mesh
from gateway.oidc.people import People
from gateway.settings import GatewaySettings
from gateway.webhook_secrets import SecretCache, forget_secrets, secret_cache
from services.runtime.tokens import TokenVerifier


@dataclass(frozen=True, slots=True)
class Believed:
    authenticator: Authenticator
    secrets: SecretCache
    clients: Clients
    limits: ClientLimits

    @classmethod
    def of(cls, mesh: Mesh, settings: GatewaySettings, people: People | None) -> Self:
        tenants, seconds = mesh.channels["tenants"], settings.secret_cache_seconds
        verifier = TokenVerifier(settings.token_jwks_file, audience="gateway")
        limits = ClientLimits(tenants, seconds=seconds)
        return cls(
            authenticator=Authenticator(tenants, verifier, people, limits, seconds=seconds),
            secrets=secret_cache(tenants, limits, seconds=seconds),
            clients=Clients(tenants, seconds=seconds),
            limits=limits,
        )

    def forget(self, tenant: str | None) -> None:
        """Believe nothing any more of the tenant, or of all."""
        self.authenticator.forget(tenant)
        self.clients.forget(tenant)
        self.limits.forget(tenant)
        forget_secrets(self.secrets, tenant)
