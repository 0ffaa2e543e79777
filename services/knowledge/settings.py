from pydantic import Field

from audit.settings import AuditedSettings
from egress.permits import Permits
from egress.settings import PermittedNetworks
from embedding.settings import EmbeddingSettings
from services.runtime.settings import DatabaseSettings, RedisSettings, settings_config


class KnowledgeSettings(AuditedSettings, DatabaseSettings, RedisSettings, EmbeddingSettings):
    model_config = settings_config("knowledge")

    grpc_port: int = Field(default=50053, ge=0, le=65535)
    metrics_port: int = Field(default=51053, ge=0, le=65535)
    permitted_networks: PermittedNetworks = Permits.parse("")
    """Private networks in which clients' knowledge bases may be, as the tenants service has them."""
