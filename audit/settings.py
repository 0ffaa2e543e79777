from pydantic import Field, FilePath

from services.runtime.settings import ServiceSettings


class AuditedSettings(ServiceSettings):
    """Of a service that records audit events, which it hands over to the tenants service."""

    token_signing_key_file: FilePath
    """The private key (JWK) that signs the tokens with which this service calls others."""
    tenants_target: str = "localhost:50056"
    """Where clients and their audit logs are."""
    tenants_seconds: float = Field(default=5, gt=0, le=60)
    """Longest wait for the tenants service."""
