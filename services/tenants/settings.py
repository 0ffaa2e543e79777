from importlib.util import find_spec
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, FilePath, HttpUrl, SecretStr, model_validator

from egress.permits import Permits
from egress.settings import PermittedNetworks
from services.runtime.settings import DatabaseSettings, RedisSettings, ServiceSettings, settings_config
from services.tenants.key_ring import KeyRing

_KMS_ARN: Final = r"^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+$"


def _holds_keys(file: FilePath) -> FilePath:
    KeyRing.read(file)
    return file


def _are_keys(text: SecretStr) -> SecretStr:
    KeyRing.parse(text.get_secret_value())
    return text


def _is_installed(key: str) -> str:
    if find_spec("aiobotocore") is None:
        raise ValueError("needs the client of the key management service: pip install 'dossier[kms]'")
    return key


class TenantsSettings(ServiceSettings, DatabaseSettings, RedisSettings):
    model_config = settings_config("tenants")

    grpc_port: int = Field(default=50056, ge=0, le=65535)
    metrics_port: int = Field(default=51056, ge=0, le=65535)
    database_pool_max: int = Field(default=8, ge=2)
    """Connections this process may hold; a deletion takes two."""
    key_encryption_key_file: Annotated[FilePath, AfterValidator(_holds_keys)] | None = None
    """32 random bytes in base64, which encrypt the keys that encrypt the tenants' secrets. Further lines are
    older keys, with which some are still encrypted."""
    key_encryption_key: Annotated[SecretStr, AfterValidator(_are_keys)] | None = None
    """The same, in the environment in place of a file."""
    kms_key: Annotated[str, Field(pattern=_KMS_ARN), AfterValidator(_is_installed)] | None = None
    """The ARN of a symmetric key, or of an alias, in AWS KMS or what speaks its API. It seals; a file's
    keys, or the environment's, where they are given too, only open what they have sealed."""
    kms_seals: bool = True
    """False: it only opens, and the file's key seals, so that secrets can move out of the service."""
    kms_endpoint_url: HttpUrl | None = None
    """Where the service is. Unset: AWS's own address for the region in the ARN."""
    kms_cache_seconds: float = Field(default=300, gt=0, le=3600)
    """How long a data key that was unwrapped is used again, and so how long secrets still open while the
    service is away or refuses."""

    token_signing_key_file: FilePath
    """The private key (JWK) that signs the tokens with which this service calls the others."""

    orchestrator_target: str = "localhost:50051"
    history_target: str = "localhost:50052"
    knowledge_target: str = "localhost:50053"
    network_target: str = "localhost:50054"
    synthesis_target: str = "localhost:50055"

    deletion_pause_seconds: float = Field(default=60, gt=0, le=3600)
    """How long after nothing was found of a client it is looked once more: longer than any call between
    services, any answer of a language model and any cache."""
    retention_sweep_seconds: float = Field(default=3600, gt=0, le=3600)
    """How often what is older than its client keeps it is looked for."""
    retention_days: float | None = Field(default=None, ge=90)
    """How long audit events are kept where a client's own settings do not say. Unset: for good."""
    permitted_networks: PermittedNetworks = Permits.parse("")
    """Private networks in which tenants' ticketing tools and context sources may be, separated by commas:
    `10.20.0.0/16` for every tenant, `acme=10.20.0.0/16` for one. Unset: none, only what is public."""
    public_url: HttpUrl | None = None
    """What the addresses of webhooks begin with: the gateway's, as the world sees it."""

    @model_validator(mode="after")
    def _one_seals(self) -> Self:
        name = "DOSSIER_TENANTS_KEY_ENCRYPTION_KEY"
        given = [self.key_encryption_key_file, self.key_encryption_key]
        own = sum(each is not None for each in given)
        if own > 1 or (own == 0 and self.kms_key is None):
            raise ValueError(f"{name}_FILE: either this or {name} is required, or DOSSIER_TENANTS_KMS_KEY")
        if own == 0 and not self.kms_seals:
            raise ValueError(f"{name}_FILE: is required where DOSSIER_TENANTS_KMS_SEALS is false")
        return self

    @property
    def key_ring(self) -> KeyRing | None:
        if self.key_encryption_key is not None:
            return KeyRing.parse(self.key_encryption_key.get_secret_value())
        if self.key_encryption_key_file is not None:
            return KeyRing.read(self.key_encryption_key_file)
        return None
