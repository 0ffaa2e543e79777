"""The run's service-token keys, and tokens made with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.runtime.tokens import TokenSigner, generate_keys


class Mint(Protocol):
    def __call__(
        self,
        audience: str,
        *,
        tenant: str | None = "acme",
        role: str = "service",
        subject: str = "test",
        ttl_seconds: int = 300,
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class Keys:
    directory: Path

    @classmethod
    def generated_in(cls, directory: Path) -> "Keys":
        generate_keys(directory)
        return cls(directory)

    @property
    def signing_key_file(self) -> Path:
        return self.directory / "signing.jwk"

    @property
    def jwks_file(self) -> Path:
        return self.directory / "jwks.json"

    @property
    def environment(self) -> dict[str, str]:
        """What a service's settings read: give it to `monkeypatch.setenv` or a child process."""
        return {
            "DOSSIER_TOKEN_JWKS_FILE": str(self.jwks_file),
            "DOSSIER_TOKEN_SIGNING_KEY_FILE": str(self.signing_key_file),
        }

    def mint(
        self,
        audience: str,
        *,
        tenant: str | None = "acme",
        role: str = "service",
        subject: str = "test",
        on_behalf_of: str = "",
        ttl_seconds: int = 300,
    ) -> str:
        """Make a token that the service `audience` accepts; tenant None is one without a tenant."""
        return TokenSigner(self.signing_key_file).mint(
            audience=audience,
            tenant=tenant,
            subject=subject,
            role=role,
            on_behalf_of=on_behalf_of,
            ttl_seconds=ttl_seconds,
        )

    def metadata(
        self,
        audience: str,
        *,
        tenant: str | None = "acme",
        role: str = "service",
        subject: str = "test",
        on_behalf_of: str = "",
    ) -> tuple[tuple[str, str], ...]:
        """Make a call's metadata: `stub.GetX(request, metadata=keys.metadata("history", tenant="acme"))`."""
        token = self.mint(audience, tenant=tenant, role=role, subject=subject, on_behalf_of=on_behalf_of)
        return (("authorization", f"Bearer {token}"),)
